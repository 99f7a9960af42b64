//! The access that a connection may give: `may_grant` in its settings.

use crate::access::{Catalogue, Entitlement, Grant};
use crate::scim::error::ScimError;
use crate::scim::value::fold;

/// What stands before the name of a role.
const ROLE: &str = "role";

/// The roles and entitlements that a connection may give.
///
/// An entry is a role (`role:NAME`) or an entitlement (`workspace:NAME`), and covers everything below it:
/// `workspace:Main` also `workspace:Main:team:Support`. `role:*` covers all roles, `company:*` all permissions
/// in the company, `*` everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MayGrant {
    /// The entries, folded, without `:*` at the end.
    entries: Vec<String>,
    /// What new accounts have by the settings of the connection, folded. It covers nothing below it.
    defaults: Vec<String>,
}

impl MayGrant {
    /// The entries, as they are compared: in lower case, and without `:*` at the end.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Adds an entry. Names and ids are looked up in the catalogue.
    ///
    /// # Errors
    ///
    /// `invalidValue` if it is not a role or entitlement, with the malformed part or the unknown name.
    pub fn allow(&mut self, catalogue: &Catalogue, entry: &str) -> Result<(), ScimError> {
        let entry = entry.trim();
        let whole = entry.strip_suffix(":*").unwrap_or(entry);
        let text = match whole.split_once(':') {
            None if ["*", ROLE, "company", "workspace"].contains(&whole) && whole != entry => {
                whole.to_owned()
            }
            None if whole == "*" => whole.to_owned(),
            Some((ROLE, name)) if catalogue.roles.is_empty() => role(name),
            Some((ROLE, name)) => role(&catalogue.role(name)?.name),
            _ => match whole.split(':').collect::<Vec<_>>().as_slice() {
                ["workspace", workspace, kind @ ("permission" | "set" | "team")] => {
                    format!("workspace:{}:{kind}", catalogue.workspace(workspace)?.name)
                }
                _ => Entitlement::parse(catalogue, whole)?.to_string(),
            },
        };
        self.entries.push(fold(&text).into_owned());
        Ok(())
    }

    /// Adds what new accounts have in the default workspace.
    pub fn allow_defaults(&mut self, workspace: &str, permissions: &[String]) {
        let workspace = || workspace.to_owned();
        let permission = |permission: &String| Entitlement::Permission {
            workspace: workspace(),
            permission: permission.clone(),
        };
        let defaults = permissions.iter().map(permission);
        let defaults = defaults.chain([Entitlement::Workspace { workspace: workspace() }]);
        self.defaults.extend(defaults.map(|default| fold(&default.to_string()).into_owned()));
    }

    /// Whether a role, by its name, may be given.
    pub fn covers_role(&self, name: &str) -> bool {
        self.covers(&role(name))
    }

    /// Whether an entitlement, as it is stored, may be given.
    pub fn covers(&self, entitlement: &str) -> bool {
        let text = fold(entitlement);
        let is_below = |entry: &str| {
            let rest = text.strip_prefix(entry);
            entry == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.entries.iter().any(|entry| is_below(entry))
            || self.defaults.iter().any(|default| *default == text)
    }

    /// The first role or entitlement of a grant that may not be given.
    pub fn lacks(&self, grant: &Grant) -> Option<String> {
        let company = grant.company_permissions.iter();
        let company =
            company.map(|permission| Entitlement::Company { permission: permission.clone() });
        let pieces = company.chain(grant.workspaces.iter().flat_map(Entitlement::of_workspace));
        let roles = grant.roles.iter().map(|name| role(name));
        roles.chain(pieces.map(|piece| piece.to_string())).find(|piece| !self.covers(piece))
    }
}

fn role(name: &str) -> String {
    format!("{ROLE}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{AccessSettings, Role, WorkspaceSettings};

    fn catalogue() -> Catalogue {
        let teams = vec!["Support".to_owned()];
        let main = WorkspaceSettings { teams, ..WorkspaceSettings::default() };
        let other =
            WorkspaceSettings { name: "Mainz".to_owned(), id: "mz".to_owned(), teams: Vec::new() };
        let role = |name: &str| Role {
            name: name.to_owned(),
            id: fold(name).into_owned(),
            workspaces: Vec::new(),
        };
        Catalogue::new(&AccessSettings {
            workspaces: vec![main, other],
            roles: vec![role("Guest"), role("Owner")],
            ..AccessSettings::default()
        })
    }

    fn may(entries: &[&str]) -> MayGrant {
        let mut may = MayGrant::default();
        entries.iter().for_each(|entry| may.allow(&catalogue(), entry).unwrap());
        may
    }

    #[test]
    fn an_entry_covers_itself_and_what_is_below_it() {
        let one = may(&["workspace:MAIN", "role:guest"]);
        for text in ["workspace:Main", "workspace:Main:team:Support", "workspace:main:permission:x"]
        {
            assert!(one.covers(text), "{text}");
        }
        for text in ["workspace:Mainz", "company:admin"] {
            assert!(!one.covers(text), "{text}");
        }
        assert!(one.covers_role("Guest") && !one.covers_role("Owner"));
        let all = may(&["role:*", "company:*", "workspace:mz:permission:*"]);
        assert!(all.covers_role("Owner") && all.covers("company:admin"));
        assert!(all.covers("workspace:Mainz:permission:x") && !all.covers("workspace:Mainz"));
        assert!(may(&["*"]).covers("company:admin") && !may(&[]).covers("company:admin"));
    }

    #[test]
    fn defaults_are_covered_and_nothing_below_them() {
        let mut none = may(&[]);
        none.allow_defaults("Main", &["basic".to_owned()]);
        assert!(none.covers("workspace:Main") && none.covers("workspace:Main:permission:basic"));
        assert!(!none.covers("workspace:Main:permission:other"));
    }

    #[test]
    fn unknown_entries_are_refused() {
        for entry in [
            "",
            "role",
            "workspace",
            "role:Gast",
            "company:king",
            "workspace:X",
            "team:*",
            "workspace:Main:x:*",
        ] {
            assert!(MayGrant::default().allow(&catalogue(), entry).is_err(), "{entry}");
        }
    }
}
