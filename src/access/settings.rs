//! What the operator configures about access: workspaces, permission sets, roles and grants.
//!
//! This is plain data: the configuration file is parsed into it, and [`super::Catalogue`] is built from
//! it. As JSON it has one form: the fields in the order of their declaration.

use serde::{Deserialize, Serialize};

use super::name::{Named, derived_id};
use crate::text::keyword::keyword;

/// Everything that the operator configures about access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessSettings {
    /// The permissions and departments that exist.
    pub words: AccessWords,
    /// The workspaces, in the order of the configuration; never empty.
    pub workspaces: Vec<WorkspaceSettings>,
    /// The permission sets, in the order of the configuration.
    pub permission_sets: Vec<PermissionSet>,
    /// The roles, in the order of the configuration.
    pub roles: Vec<Role>,
    /// The access that comes with membership of groups, in the order of the configuration.
    pub grants: Vec<Grant>,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            words: AccessWords::default(),
            workspaces: vec![WorkspaceSettings::default()],
            permission_sets: Vec::new(),
            roles: Vec::new(),
            grants: Vec::new(),
        }
    }
}

/// The permissions in a company that are known where none are listed.
const COMPANY_PERMISSIONS: [&str; 3] =
    ["admin", "manage_company_settings", "add_remove_app_groups"];
/// The departments that are known where none are listed.
const DEPARTMENTS: [&str; 7] =
    ["agency", "bi", "c_suite", "engineering", "finance", "marketing", "pm"];

/// The permissions and departments that there are. An empty list takes any well-formed word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessWords {
    /// Permissions in the company as a whole.
    pub company_permissions: Vec<String>,
    /// Permissions in a workspace.
    pub workspace_permissions: Vec<String>,
    /// Permissions in a team.
    pub team_permissions: Vec<String>,
    /// Departments.
    pub departments: Vec<String>,
    /// What becomes of a department that is not listed, where the method leaves the choice.
    pub unknown_departments: UnknownDepartments,
}

/// What becomes of a department that is not listed. Method `custom` refuses it in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDepartments {
    /// It is kept as it is: identity providers send the company's own names.
    #[default]
    Keep,
    /// The request is refused.
    Refuse,
}

impl UnknownDepartments {
    /// Both, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Keep, Self::Refuse];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Refuse => "refuse",
        }
    }
}

keyword!(UnknownDepartments, "unknown_departments");

impl Default for AccessWords {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            company_permissions: words(&COMPANY_PERMISSIONS),
            workspace_permissions: Vec::new(),
            team_permissions: Vec::new(),
            departments: words(&DEPARTMENTS),
            unknown_departments: UnknownDepartments::default(),
        }
    }
}

/// A workspace and its teams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id, given or derived from the name: 1 to 64 letters, digits, `.`, `_` or `-`, unique.
    pub id: String,
    /// The names of the teams, each 1 to 100 characters, unique in any letter case.
    #[serde(default)]
    pub teams: Vec<String>,
}

/// The workspace that exists where the configuration names none.
impl Default for WorkspaceSettings {
    fn default() -> Self {
        let name = "Main".to_owned();
        Self { id: derived_id(&[Self::KIND, &name]), name, teams: Vec::new() }
    }
}

impl Named for WorkspaceSettings {
    const KIND: &'static str = "workspace";

    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

/// Permissions in a workspace under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionSet {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id: given, or derived from the name.
    pub id: String,
    /// What it permits in a workspace.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// Access to workspaces under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id: given, or derived from the name.
    pub id: String,
    /// To which workspaces it gives which access.
    #[serde(default)]
    pub workspaces: Vec<WorkspaceAccess>,
}

/// Access to one workspace. Everything is named as the configuration names it, not by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceAccess {
    /// The workspace's name.
    pub workspace: String,
    /// Permissions in it.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The names of permission sets that hold in it.
    #[serde(default)]
    pub permission_sets: Vec<String>,
    /// Membership of its teams.
    #[serde(default)]
    pub teams: Vec<TeamAccess>,
}

/// Membership of a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamAccess {
    /// The team's name.
    pub team: String,
    /// Permissions in it.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl Named for PermissionSet {
    const KIND: &'static str = "permission set";

    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Named for Role {
    const KIND: &'static str = "role";

    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Named for String {
    const KIND: &'static str = "team";

    fn name(&self) -> &str {
        self
    }

    fn id(&self) -> Option<&str> {
        None
    }
}

/// What every member of a group gets, for as long as the membership lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Which group.
    pub group: GroupName,
    /// Permissions in the company.
    #[serde(default)]
    pub company_permissions: Vec<String>,
    /// The names of roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Access to workspaces.
    #[serde(default)]
    pub workspaces: Vec<WorkspaceAccess>,
}

/// How a grant names its group, which need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupName {
    /// By its `displayName`, in any letter case.
    DisplayName(String),
    /// By its `externalId`: it stays the same when the group is renamed.
    ExternalId(String),
}
