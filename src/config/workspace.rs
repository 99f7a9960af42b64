//! `[[workspaces]]`: where accounts have access.

use std::collections::HashSet;

use super::reader::Section;

/// Longest name of a workspace or a team, in characters.
const MAX_NAME: usize = 100;

/// A workspace and its teams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id, where one is given: 1 to 64 letters, digits, `.`, `_` or `-`, unique.
    pub id: Option<String>,
    /// The names of the teams, each 1 to 100 characters, unique in any letter case.
    pub teams: Vec<String>,
}

/// The workspace that exists where the configuration names none.
impl Default for Workspace {
    fn default() -> Self {
        Self { name: "Main".to_owned(), id: None, teams: Vec::new() }
    }
}

/// The names and ids that earlier workspaces have taken.
#[derive(Default)]
pub(super) struct Taken {
    names: HashSet<String>,
    ids: HashSet<String>,
}

impl Workspace {
    /// Reads one workspace; `None` without a name.
    pub(super) fn read(section: &mut Section<'_, '_>, taken: &mut Taken) -> Option<Self> {
        let name: Option<String> = section.required("name", "the workspace's name");
        if let Some(name) = &name {
            check_name(section, "name", name, &mut taken.names);
        }
        let id: Option<String> = section.optional("id");
        if let Some(id) = &id {
            if !is_id(id) {
                section.problem(
                    "id",
                    format!("{id:?} is wrong; expected 1 to 64 letters, digits, '.', '_' or '-'"),
                );
            } else if !taken.ids.insert(id.clone()) {
                section.problem("id", format!("{id:?} is taken by an earlier workspace"));
            }
        }
        let teams: Vec<String> = section.array("teams").unwrap_or_default();
        let mut taken_teams = HashSet::new();
        for team in &teams {
            check_name(section, "teams", team, &mut taken_teams);
        }
        Some(Self { name: name?, id, teams })
    }
}

fn check_name(section: &mut Section<'_, '_>, key: &str, name: &str, taken: &mut HashSet<String>) {
    let fits = (1..=MAX_NAME).contains(&name.chars().count())
        && name.trim() == name
        && !name.contains(char::is_control);
    if !fits {
        section.problem(
            key,
            format!(
                "{name:?} is not a name; expected 1 to {MAX_NAME} characters, no control \
                 characters, no space at either end"
            ),
        );
    } else if !taken.insert(name.to_lowercase()) {
        section.problem(
            key,
            format!("{name:?} appears twice; expected unique names in any letter case"),
        );
    }
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
