//! The values that scimd accepts for access and departments.

use serde::Serialize;

use crate::access::{Catalogue, UnknownDepartments};
use crate::connection::{ConnectionMethod, ConnectionSettings};

/// The accepted values.
///
/// An empty list of permissions means that any word of `a-z`, `0-9` and `_` is accepted.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedValues {
    /// The workspace of an account whose request names none.
    pub default_workspace: String,
    /// The permissions of such an account in the default workspace.
    pub default_permissions: Vec<String>,
    /// The configured departments.
    pub departments: Vec<String>,
    /// Whether other departments are accepted too.
    pub other_departments: bool,
    /// The roles. Without roles any text is accepted as a role and grants nothing.
    pub roles: Vec<AcceptedItem>,
    /// Workspaces, the first words of entitlements.
    pub workspaces: Vec<AcceptedWorkspace>,
    /// Permission sets.
    pub permission_sets: Vec<AcceptedItem>,
    /// Permissions in the company.
    pub company_permissions: Vec<String>,
    /// Permissions in a workspace.
    pub workspace_permissions: Vec<String>,
    /// Permissions in a team.
    pub team_permissions: Vec<String>,
}

/// A catalogue item that can be referred to by name or by id.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedItem {
    /// The name, in any letter case.
    pub name: String,
    /// The id.
    pub id: String,
}

/// A workspace and its teams.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedWorkspace {
    /// The workspace.
    #[serde(flatten)]
    pub item: AcceptedItem,
    /// Its teams.
    pub teams: Vec<AcceptedItem>,
}

impl AcceptedValues {
    pub(super) fn new(connection: &ConnectionSettings, catalogue: &Catalogue) -> Self {
        let words = catalogue.words();
        let item = |name: &String, id: &String| AcceptedItem { name: name.clone(), id: id.clone() };
        Self {
            default_workspace: connection.default_workspace.clone(),
            default_permissions: connection.default_permissions.clone(),
            departments: words.departments.clone(),
            other_departments: connection.method != ConnectionMethod::Custom
                && words.unknown_departments == UnknownDepartments::Keep,
            roles: catalogue.roles.iter().map(|role| item(&role.name, &role.id)).collect(),
            workspaces: catalogue
                .workspaces
                .iter()
                .map(|workspace| AcceptedWorkspace {
                    item: item(&workspace.name, &workspace.id),
                    teams: workspace.teams.iter().map(|team| item(&team.name, &team.id)).collect(),
                })
                .collect(),
            permission_sets: catalogue
                .permission_sets
                .iter()
                .map(|set| item(&set.name, &set.id))
                .collect(),
            company_permissions: words.company_permissions.clone(),
            workspace_permissions: words.workspace_permissions.clone(),
            team_permissions: words.team_permissions.clone(),
        }
    }
}
