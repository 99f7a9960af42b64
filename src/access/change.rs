//! The migration of stored access after a change of the catalogue.

use serde::{Deserialize, Serialize};

use crate::scim::value::fold;

/// The names of a catalogue, stored so that a later catalogue can distinguish a renamed item from a
/// removed one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessNames {
    /// The workspaces, each with its id.
    pub(super) workspaces: Vec<(String, String)>,
    /// The permission sets, each with its id.
    pub(super) permission_sets: Vec<(String, String)>,
    /// The roles, each with its id.
    pub(super) roles: Vec<(String, String)>,
    /// The other settings that determine whether stored access is still valid.
    pub(super) words: Vec<Vec<String>>,
}

impl AccessNames {
    /// Whether the catalogue had a role of that name.
    pub fn had_role(&self, name: &str) -> bool {
        self.roles.iter().any(|(known, _)| fold(known) == fold(name))
    }

    /// Returns these names together with those of a later catalogue, for use while accounts may
    /// contain either.
    #[must_use]
    pub fn joined(mut self, later: &Self) -> Self {
        let add = |all: &mut Vec<(String, String)>, more: &[(String, String)]| {
            for (name, id) in more {
                if !all.iter().any(|(known, _)| fold(known) == fold(name)) {
                    all.push((name.clone(), id.clone()));
                }
            }
        };
        add(&mut self.workspaces, &later.workspaces);
        add(&mut self.permission_sets, &later.permission_sets);
        add(&mut self.roles, &later.roles);
        self
    }
}

/// Returns a stored role or entitlement with its current names: an item that kept its id keeps its
/// holders.
///
/// Other names stay unchanged, whether they are known or not.
pub fn followed(before: &AccessNames, text: &str) -> String {
    let id = |list: &[(String, String)], name: &str| {
        let known = list.iter().find(|(known, _)| fold(known) == fold(name));
        known.map_or_else(|| name.to_owned(), |(_, id)| id.clone())
    };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["workspace", workspace, rest @ ..] => {
            let workspace = id(&before.workspaces, workspace);
            match rest {
                ["set", set] => {
                    format!("workspace:{workspace}:set:{}", id(&before.permission_sets, set))
                }
                [] => format!("workspace:{workspace}"),
                _ => format!("workspace:{workspace}:{}", rest.join(":")),
            }
        }
        [role] => id(&before.roles, role),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(workspaces: &[(&str, &str)]) -> AccessNames {
        let pair = |(name, id): &(&str, &str)| ((*name).to_owned(), (*id).to_owned());
        AccessNames { workspaces: workspaces.iter().map(pair).collect(), ..AccessNames::default() }
    }

    #[test]
    fn while_accounts_follow_the_old_and_the_new_name_lead_to_one_id() {
        let (before, later) = (names(&[("Main", "m"), ("Gone", "g")]), names(&[("Head", "m")]));
        let either = before.clone().joined(&later);
        for name in ["Main", "head"] {
            assert_eq!(followed(&either, &format!("workspace:{name}:set:x")), "workspace:m:set:x");
        }
        assert_eq!(followed(&either, "workspace:Gone"), "workspace:g");
        // Whichever catalogue comes next, accounts are looked at.
        assert!(either != before && either != later);
        assert_eq!(either.clone().joined(&before).joined(&later), either);
    }
}
