//! What an account can be given, a role or a piece of access, and the words by which people ask for it.

use std::fmt;

use super::catalogue::Catalogue;
use super::entitlement::Entitlement;
use super::name::is_permission;
use super::settings::AccessWords;
use crate::scim::error::ScimError;
use crate::scim::value::fold;
use crate::text::excerpt;

/// How a role begins as a text.
const ROLE: &str = "role:";

/// A role or a piece of access. As a text, a role is `role:NAME`, and a piece of access an entitlement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessItem {
    /// A role, by its name.
    Role(String),
    /// A piece of access.
    Entitlement(Entitlement),
}

impl AccessItem {
    /// Parses a role or an entitlement. Names and ids are accepted.
    ///
    /// # Errors
    ///
    /// `invalidValue`, with the malformed part or the unknown name.
    pub fn parse(catalogue: &Catalogue, text: &str) -> Result<Self, ScimError> {
        match role_in(text) {
            Some(role) => Ok(Self::Role(catalogue.role(role)?.name.clone())),
            None => Entitlement::parse(catalogue, text).map(Self::Entitlement),
        }
    }

    /// Returns the description that people see in a list.
    pub fn in_words(&self) -> String {
        match self {
            Self::Role(role) => format!("role {role}"),
            Self::Entitlement(entitlement) => entitlement.in_words(),
        }
    }

    /// The name of what is given: the last part of the text.
    fn name(&self) -> &str {
        match self {
            Self::Role(name)
            | Self::Entitlement(
                Entitlement::Company { permission: name }
                | Entitlement::Workspace { workspace: name }
                | Entitlement::Permission { permission: name, .. }
                | Entitlement::PermissionSet { set: name, .. }
                | Entitlement::Team { team: name, .. }
                | Entitlement::TeamPermission { permission: name, .. },
            ) => name,
        }
    }
}

impl fmt::Display for AccessItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "{ROLE}{name}"),
            Self::Entitlement(entitlement) => entitlement.fmt(f),
        }
    }
}

/// What people ask for: a role or piece of access, or everything with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessPattern {
    /// One role or piece of access.
    Item(AccessItem),
    /// The permissions, permission sets, roles, teams and workspaces with this name, folded.
    Name(String),
}

impl AccessPattern {
    /// Parses `role:NAME`, an entitlement, or the name of a permission, permission set, role, team or workspace
    /// in any letter case.
    ///
    /// # Errors
    ///
    /// `invalidValue`, if the catalogue has nothing of that name.
    pub fn parse(catalogue: &Catalogue, text: &str) -> Result<Self, ScimError> {
        let text = text.trim();
        if text.contains(':') {
            return AccessItem::parse(catalogue, text).map(Self::Item);
        }
        let name = fold(text).into_owned();
        if is_in_use(catalogue, &name) {
            return Ok(Self::Name(name));
        }
        Err(ScimError::invalid_value(format!(
            "\"{}\" is no permission, permission set, role, team or workspace of the configuration; expected one of their \
             names, role:NAME, or an entitlement such as workspace:NAME:permission:PERMISSION.",
            excerpt(text, 100)
        )))
    }

    /// Whether a role or piece of access is meant.
    pub fn matches(&self, item: &AccessItem) -> bool {
        match self {
            Self::Item(meant) => meant == item,
            Self::Name(name) => fold(item.name()) == name.as_str(),
        }
    }
}

/// Whether the catalogue has something with this folded name, or accepts it as a permission.
fn is_in_use(catalogue: &Catalogue, name: &str) -> bool {
    let is_called = |known: &String| fold(known) == name;
    let AccessWords { company_permissions, workspace_permissions, team_permissions, .. } =
        catalogue.words();
    let is_permission = [company_permissions, workspace_permissions, team_permissions]
        .into_iter()
        .any(|words| words.iter().any(is_called) || words.is_empty() && is_permission(name));
    is_permission
        || catalogue.roles.iter().any(|role| is_called(&role.name))
        || catalogue.permission_sets.iter().any(|set| is_called(&set.name))
        || catalogue.workspaces.iter().any(|workspace| {
            is_called(&workspace.name) || workspace.teams.iter().any(|team| is_called(&team.name))
        })
}

/// The name in `role:NAME`.
fn role_in(text: &str) -> Option<&str> {
    let (kind, name) = text.split_at_checked(ROLE.len())?;
    kind.eq_ignore_ascii_case(ROLE).then(|| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessSettings;
    use crate::access::settings::{Role, WorkspaceSettings};

    #[test]
    fn a_word_means_everything_of_that_name() {
        let mut settings = AccessSettings::default();
        settings.words.workspace_permissions = vec!["view".to_owned()];
        settings.words.team_permissions = vec!["admin".to_owned()];
        let role = Role { name: "Admin".into(), id: "a".into(), workspaces: Vec::new() };
        settings.roles.push(role);
        let teams = vec!["East".to_owned()];
        settings.workspaces =
            vec![WorkspaceSettings { name: "Main".into(), id: "main".into(), teams }];
        let catalogue = Catalogue::new(&settings);
        let item = |text: &str| AccessItem::parse(&catalogue, text).unwrap();
        let admin = AccessPattern::parse(&catalogue, " ADMIN ").unwrap();
        for text in ["company:admin", "role:admin", "ROLE:a", "workspace:main:team:East:admin"] {
            assert!(admin.matches(&item(text)), "{text}");
        }
        assert!(!admin.matches(&item("workspace:main")));
        assert!(!admin.matches(&item("workspace:main:permission:view")));
        let one = AccessPattern::parse(&catalogue, "company:admin").unwrap();
        assert!(one.matches(&item("company:admin")) && !one.matches(&item("role:Admin")));
        assert_eq!(item("Role:admin").to_string(), "role:Admin");
        for wrong in ["nothing", "", "role:nothing", "workspace:Main:permission:x", "é:"] {
            let error = AccessPattern::parse(&catalogue, wrong).unwrap_err();
            assert!(!error.detail.is_empty(), "{wrong}");
        }
    }
}
