//! The values that this place takes for access and departments.

use serde::Serialize;

use crate::access::{Catalogue, UnknownDepartments};
use crate::connection::{ConnectionMethod, ConnectionSettings};

/// The values that are taken. An empty list of permissions takes any word of `a-z`, `0-9` and `_`.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedValues {
    /// The workspace of an account whose request names none.
    pub default_workspace: String,
    /// What such an account may do there.
    pub default_permissions: Vec<String>,
    /// Departments that are listed.
    pub departments: Vec<String>,
    /// Whether any other department is taken too.
    pub other_departments: bool,
    /// Roles; if there are none, any text is a role, and gives nothing.
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

/// What can be named in two ways.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedItem {
    /// By its name, in any letter case.
    pub name: String,
    /// By its id.
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
