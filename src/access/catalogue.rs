//! The access catalogue: the workspaces, teams, roles, permission sets and permissions that exist.

use std::collections::HashMap;

use super::change::AccessNames;
use super::name::{derived_id, is_permission};
use super::settings::{AccessSettings, AccessWords, Grant, PermissionSet, Role, WorkspaceSettings};
use crate::scim::error::ScimError;
use crate::scim::value::fold;
use crate::text::{excerpt, nearest};

/// The maximum number of characters of an unknown name in an error.
const MAX_SHOWN: usize = 100;
/// The maximum number of known names that an error lists if no name is similar.
const MAX_LISTED: usize = 12;

/// The access catalogue of a configuration.
///
/// All references in it resolve: the configuration has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    words: AccessWords,
    /// The workspaces, in the order of the configuration.
    pub workspaces: Vec<Workspace>,
    /// The permission sets, in the order of the configuration.
    pub permission_sets: Vec<PermissionSet>,
    /// The roles, in the order of the configuration.
    pub roles: Vec<Role>,
    /// The access that groups grant to their members.
    pub grants: Vec<Grant>,
    places: Places,
}

/// The positions of catalogue items in their lists, by name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Places {
    workspaces: NameIndex,
    permission_sets: NameIndex,
    roles: NameIndex,
}

/// Positions in one list, by folded name and by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NameIndex {
    by_name: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
}

impl NameIndex {
    fn new<'a>(names_and_ids: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        let mut index = Self::default();
        for (place, (name, id)) in names_and_ids.enumerate() {
            index.by_name.insert(fold(name).into_owned(), place);
            index.by_id.insert(id.clone(), place);
        }
        index
    }

    /// Resolves former names to the items that had them, if the item still exists and no other item
    /// has the name now.
    fn remember(&mut self, former: &[(String, String)]) {
        for (name, id) in former {
            if let Some(place) = self.by_id.get(id) {
                self.by_name.entry(fold(name).into_owned()).or_insert(*place);
            }
        }
    }

    /// Returns a former name that belongs to another item now, while the item that had it still
    /// exists.
    fn taken_over<'a>(&self, former: &'a [(String, String)]) -> Option<&'a str> {
        former.iter().find_map(|(name, id)| {
            let now = self.by_name.get(fold(name).as_ref())?;
            let meant = self.by_id.get(id)?;
            (now != meant).then_some(name.as_str())
        })
    }

    fn find<'a, T>(&self, all: &'a [T], called: &str) -> Option<&'a T> {
        let place = self.by_id.get(called).or_else(|| self.by_name.get(fold(called).as_ref()))?;
        all.get(*place)
    }
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The id: configured, or derived from the name.
    pub id: String,
    /// The name.
    pub name: String,
    /// The teams.
    pub teams: Vec<Team>,
}

/// A team of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// The id, derived from the names of workspace and team.
    pub id: String,
    /// The name.
    pub name: String,
}

impl Catalogue {
    /// Builds the catalogue of the configured access.
    pub fn new(settings: &AccessSettings) -> Self {
        let workspace = |WorkspaceSettings { name, id, teams }: &WorkspaceSettings| {
            let team =
                |team: &String| Team { id: derived_id(&["team", id, team]), name: team.clone() };
            Workspace {
                id: id.clone(),
                name: name.clone(),
                teams: teams.iter().map(team).collect(),
            }
        };
        Self {
            words: settings.words.clone(),
            workspaces: settings.workspaces.iter().map(workspace).collect(),
            permission_sets: settings.permission_sets.clone(),
            roles: settings.roles.clone(),
            grants: settings.grants.clone(),
            places: Places {
                workspaces: NameIndex::new(
                    settings.workspaces.iter().map(|one| (&one.name, &one.id)),
                ),
                permission_sets: NameIndex::new(
                    settings.permission_sets.iter().map(|one| (&one.name, &one.id)),
                ),
                roles: NameIndex::new(settings.roles.iter().map(|one| (&one.name, &one.id))),
            },
        }
    }

    /// Returns the catalogue with former names resolved to their items, for use while stored
    /// accounts still contain them.
    #[must_use]
    pub fn remembering(mut self, former: &AccessNames) -> Self {
        self.places.workspaces.remember(&former.workspaces);
        self.places.permission_sets.remember(&former.permission_sets);
        self.places.roles.remember(&former.roles);
        self
    }

    /// Returns a former name that belongs to another item now, while the item that had it still
    /// exists.
    ///
    /// Such a name is ambiguous in stored access until all accounts have been migrated.
    pub fn taken_over<'a>(&self, former: &'a AccessNames) -> Option<&'a str> {
        let Places { workspaces, permission_sets, roles } = &self.places;
        workspaces
            .taken_over(&former.workspaces)
            .or_else(|| permission_sets.taken_over(&former.permission_sets))
            .or_else(|| roles.taken_over(&former.roles))
    }

    /// Returns the names of the catalogue.
    pub fn names(&self) -> AccessNames {
        let words = [
            &self.words.company_permissions,
            &self.words.workspace_permissions,
            &self.words.team_permissions,
        ];
        let teams = self.workspaces.iter().map(|workspace| {
            workspace.teams.iter().map(|team| team.name.clone()).collect::<Vec<_>>()
        });
        let pair = |name: &String, id: &String| (name.clone(), id.clone());
        AccessNames {
            workspaces: self.workspaces.iter().map(|one| pair(&one.name, &one.id)).collect(),
            permission_sets: self
                .permission_sets
                .iter()
                .map(|one| pair(&one.name, &one.id))
                .collect(),
            roles: self.roles.iter().map(|one| pair(&one.name, &one.id)).collect(),
            words: words.into_iter().cloned().chain(teams).collect(),
        }
    }

    /// Returns the configured permissions and departments.
    pub fn words(&self) -> &AccessWords {
        &self.words
    }

    /// Returns the workspace with that name, in any letter case, or with that id.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn workspace(&self, called: &str) -> Result<&Workspace, ScimError> {
        self.places.workspaces.find(&self.workspaces, called).ok_or_else(|| {
            unknown("workspace", called, self.workspaces.iter().map(|one| &one.name))
        })
    }

    /// Returns the permission set with that name, in any letter case, or with that id.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn permission_set(&self, called: &str) -> Result<&PermissionSet, ScimError> {
        let names = || self.permission_sets.iter().map(|one| &one.name);
        self.places
            .permission_sets
            .find(&self.permission_sets, called)
            .ok_or_else(|| unknown("permission set", called, names()))
    }

    /// Returns the role with that name, in any letter case, or with that id.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn role(&self, called: &str) -> Result<&Role, ScimError> {
        self.places
            .roles
            .find(&self.roles, called)
            .ok_or_else(|| unknown("role", called, self.roles.iter().map(|one| &one.name)))
    }

    /// Checks a permission in the company.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn company_permission(&self, word: &str) -> Result<String, ScimError> {
        listed("company permission", word, &self.words.company_permissions)
    }

    /// Checks a permission in a workspace.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn workspace_permission(&self, word: &str) -> Result<String, ScimError> {
        listed("workspace permission", word, &self.words.workspace_permissions)
    }

    /// Checks a permission in a team.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn team_permission(&self, word: &str) -> Result<String, ScimError> {
        listed("team permission", word, &self.words.team_permissions)
    }

    /// Returns a department in its configured spelling.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn department(&self, word: &str) -> Result<String, ScimError> {
        listed("department", word, &self.words.departments)
    }
}

impl Workspace {
    /// Returns the team with that name, in any letter case, or with that id.
    ///
    /// # Errors
    ///
    /// `invalidValue`, naming the most similar known name.
    pub fn team(&self, called: &str) -> Result<&Team, ScimError> {
        let what = format!("team of workspace \"{}\" called", self.name);
        let folded = fold(called);
        self.teams
            .iter()
            .find(|team| team.id == called || fold(&team.name) == folded)
            .ok_or_else(|| unknown(&what, called, self.teams.iter().map(|one| &one.name)))
    }
}

fn listed(what: &str, word: &str, listed: &[String]) -> Result<String, ScimError> {
    if listed.is_empty() {
        return match is_permission(word) {
            true => Ok(word.to_owned()),
            false => Err(ScimError::invalid_value(format!(
                "\"{}\" is not a valid {what}; expected 1 to 64 of the characters a-z, 0-9 and _.",
                excerpt(word, MAX_SHOWN)
            ))),
        };
    }
    let found = listed.iter().find(|known| known.eq_ignore_ascii_case(word));
    found.cloned().ok_or_else(|| unknown(what, word, listed.iter()))
}

/// Returns the error for a name that is not in the catalogue.
fn unknown<'a>(
    what: &str,
    called: &str,
    known: impl Iterator<Item = &'a String> + Clone,
) -> ScimError {
    let hint = match nearest(called, known.clone().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => match known.clone().count() {
            0 => "none is configured.".to_owned(),
            count => {
                let mut names: Vec<String> =
                    known.take(MAX_LISTED).map(|name| format!("\"{name}\"")).collect();
                if count > MAX_LISTED {
                    names.push(format!("and {} more", count - MAX_LISTED));
                }
                format!("known: {}.", names.join(", "))
            }
        },
    };
    ScimError::invalid_value(format!("Unknown {what} \"{}\"; {hint}", excerpt(called, MAX_SHOWN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_never_change() {
        assert_eq!(derived_id(&["workspace", "Main"]), derived_id(&["workspace", "MAIN"]));
        assert_ne!(derived_id(&["workspace", "Main"]), derived_id(&["role", "Main"]));
        assert_eq!(derived_id(&["workspace", "Main"]), "ade9e1442ee46f990108b78c");
    }

    #[test]
    fn the_nearest_is_named() {
        let catalogue = Catalogue::new(&AccessSettings::default());
        let detail = |error: ScimError| error.detail;
        assert_eq!(
            detail(catalogue.workspace("Mian").unwrap_err()),
            "Unknown workspace \"Mian\"; did you mean \"Main\"?"
        );
        assert_eq!(
            detail(catalogue.role("x").unwrap_err()),
            "Unknown role \"x\"; none is configured."
        );
        assert!(detail(catalogue.department("sales").unwrap_err()).contains("known: \"agency\""));
        assert_eq!(catalogue.department("Finance").unwrap(), "finance");
        assert!(catalogue.workspace_permission("any_word_1").is_ok());
        assert!(catalogue.workspace_permission("Any Word").is_err());
        let main = catalogue.workspace("main").unwrap();
        assert_eq!(catalogue.workspace(&main.id).unwrap(), main);
    }
}
