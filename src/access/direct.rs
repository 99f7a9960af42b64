//! Direct access: the access in an account's own attributes.

use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::entitlement::Entitlement;
use super::item::AccessItem;
use super::settings::{TeamAccess, WorkspaceAccess};
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user;

/// The access in an account's `roles` and `entitlements`, without values that are not in the
/// catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Direct {
    /// Permissions in the company.
    pub company_permissions: Vec<String>,
    /// The names of roles.
    pub roles: Vec<String>,
    /// The access to workspaces, each listed once.
    pub workspaces: Vec<WorkspaceAccess>,
}

impl Direct {
    /// Reads the access from the attributes of an account.
    pub fn of(catalogue: &Catalogue, roles: Option<&Value>, entitlements: Option<&Value>) -> Self {
        let mut direct = Self::default();
        for role in texts(roles).filter_map(|text| catalogue.role(text).ok()) {
            push(&mut direct.roles, &role.name);
        }
        for text in texts(entitlements) {
            if let Ok(entitlement) = Entitlement::parse(catalogue, text) {
                direct.add(entitlement);
            }
        }
        direct
    }

    /// Adds a role or a piece of access.
    pub fn give(&mut self, item: &AccessItem) {
        match item {
            AccessItem::Role(role) => push(&mut self.roles, role),
            AccessItem::Entitlement(entitlement) => self.add(entitlement.clone()),
        }
    }

    fn add(&mut self, entitlement: Entitlement) {
        let Some(workspace) = entitlement.workspace() else {
            if let Entitlement::Company { permission } = entitlement {
                push(&mut self.company_permissions, &permission);
            }
            return;
        };
        let workspace = entry(
            &mut self.workspaces,
            |known| known.workspace == workspace,
            || WorkspaceAccess {
                workspace: workspace.to_owned(),
                permissions: Vec::new(),
                permission_sets: Vec::new(),
                teams: Vec::new(),
            },
        );
        let Some(workspace) = workspace else { return };
        match &entitlement {
            Entitlement::Company { .. } | Entitlement::Workspace { .. } => {}
            Entitlement::Permission { permission, .. } => {
                push(&mut workspace.permissions, permission);
            }
            Entitlement::PermissionSet { set, .. } => push(&mut workspace.permission_sets, set),
            Entitlement::Team { team, .. } | Entitlement::TeamPermission { team, .. } => {
                let found = entry(
                    &mut workspace.teams,
                    |known| known.team == *team,
                    || TeamAccess { team: team.clone(), permissions: Vec::new() },
                );
                if let (Some(found), Entitlement::TeamPermission { permission, .. }) =
                    (found, &entitlement)
                {
                    push(&mut found.permissions, permission);
                }
            }
        }
    }

    /// Whether the access includes a workspace, directly or through a role.
    pub fn names_workspace(&self, catalogue: &Catalogue) -> bool {
        let of_role =
            |role: &String| catalogue.role(role).is_ok_and(|role| !role.workspaces.is_empty());
        !self.workspaces.is_empty() || self.roles.iter().any(of_role)
    }
}

/// The access of an account whose request names no workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultAccess {
    entitlements: Vec<Entitlement>,
}

impl DefaultAccess {
    /// The name of a workspace, and permissions in it.
    pub fn new(workspace: &str, permissions: &[String]) -> Self {
        let permission = |permission: &String| Entitlement::Permission {
            workspace: workspace.to_owned(),
            permission: permission.clone(),
        };
        let whole = Entitlement::Workspace { workspace: workspace.to_owned() };
        let entitlements = std::iter::once(whole).chain(permissions.iter().map(permission));
        Self { entitlements: entitlements.collect() }
    }

    /// Adds the default access to an account that names no workspace.
    pub fn assign(
        &self,
        catalogue: &Catalogue,
        resource_type: &ResourceType,
        resource: &mut Resource,
    ) {
        if !resource_type.is_account {
            return;
        }
        let named = resource.get(user::ENTITLEMENTS);
        let direct = Direct::of(catalogue, resource.get(user::ROLES), named);
        if direct.names_workspace(catalogue) {
            return;
        }
        let mut entitlements = named.and_then(Value::as_array).cloned().unwrap_or_default();
        entitlements.extend(self.entitlements.iter().map(|one| json!({"value": one.to_string()})));
        resource.put(resource_type, user::ENTITLEMENTS, Value::Array(entitlements));
    }
}

/// Returns the `value` texts of a multi-valued attribute.
fn texts(attribute: Option<&Value>) -> impl Iterator<Item = &str> {
    let elements = attribute.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    elements.iter().filter_map(|element| element.get("value")?.as_str())
}

fn push(list: &mut Vec<String>, word: &str) {
    if !list.iter().any(|known| known == word) {
        list.push(word.to_owned());
    }
}

/// Returns the matching element, after adding it if it is missing.
fn entry<T>(
    list: &mut Vec<T>,
    is_meant: impl Fn(&T) -> bool,
    make: impl FnOnce() -> T,
) -> Option<&mut T> {
    let at = list.iter().position(is_meant).unwrap_or(list.len());
    if at == list.len() {
        list.push(make());
    }
    list.get_mut(at)
}
