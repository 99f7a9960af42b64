//! The access settings: workspaces, permission sets, roles and grants.
//!
//! This is plain data: the configuration file is parsed into it, and [`super::Catalogue`] is built from
//! it. As JSON it has one form: the fields in the order of their declaration.

use serde::{Deserialize, Serialize};

use super::name::{Named, derived_id};
use crate::text::keyword::keyword;

/// The access settings.
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

/// The default permissions in a company.
const COMPANY_PERMISSIONS: [&str; 3] =
    ["admin", "manage_company_settings", "add_remove_app_groups"];
/// The default departments.
const DEPARTMENTS: [&str; 7] =
    ["agency", "bi", "c_suite", "engineering", "finance", "marketing", "pm"];

/// The permissions and departments that exist. An empty list allows any well-formed word.
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
    /// The handling of unlisted departments, for methods that allow both.
    pub unknown_departments: UnknownDepartments,
}

/// The handling of a department that is not listed. Method `custom` always refuses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDepartments {
    /// The department is stored as it is: identity providers send the company's own names.
    #[default]
    Keep,
    /// The request is refused.
    Refuse,
}

impl UnknownDepartments {
    /// Both values, in the order of the documentation.
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

/// The default workspace, for a configuration that names none.
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

/// A named set of permissions in a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionSet {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id: given, or derived from the name.
    pub id: String,
    /// The permissions in a workspace.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// A role: named access to workspaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id: given, or derived from the name.
    pub id: String,
    /// The access to each workspace.
    #[serde(default)]
    pub workspaces: Vec<WorkspaceAccess>,
}

/// Access to one workspace. Items are referred to by name, not by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceAccess {
    /// The workspace's name.
    pub workspace: String,
    /// The permissions in it.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The names of the permission sets that apply in it.
    #[serde(default)]
    pub permission_sets: Vec<String>,
    /// The memberships of its teams.
    #[serde(default)]
    pub teams: Vec<TeamAccess>,
}

/// Membership of a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamAccess {
    /// The team's name.
    pub team: String,
    /// The permissions in it.
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

/// The manager in a grant that stands for groups without a connection. No connection has this name.
pub const NO_CONNECTION: &str = "operator";

/// The access of every member of a group, for as long as the membership lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The group.
    pub group: GroupName,
    /// Whose group it must be: names of connections, or [`NO_CONNECTION`]; `None` for anyone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managers: Option<Vec<String>>,
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

/// The reference of a grant to its group, which need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupName {
    /// The group's `displayName`, in any letter case.
    DisplayName(String),
    /// The group's `externalId`, which stays the same when the group is renamed.
    ExternalId(String),
}
