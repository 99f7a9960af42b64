//! `[[workspaces]]`: where accounts have access.

use super::name::{Named, Taken, derived_id};
use super::reader::Section;

/// A workspace and its teams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id, given or derived from the name: 1 to 64 letters, digits, `.`, `_` or `-`, unique.
    pub id: String,
    /// The names of the teams, each 1 to 100 characters, unique in any letter case.
    pub teams: Vec<String>,
}

/// The workspace that exists where the configuration names none.
impl Default for Workspace {
    fn default() -> Self {
        let name = "Main".to_owned();
        Self { id: derived_id(&[Self::KIND, &name]), name, teams: Vec::new() }
    }
}

impl Named for Workspace {
    const KIND: &'static str = "workspace";

    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Workspace {
    /// Reads one workspace; `None` without a name.
    pub(super) fn read(section: &mut Section<'_, '_>, taken: &mut Taken) -> Option<Self> {
        let name = taken.name(section, "the workspace's name");
        let id = taken.id::<Self>(section, name.as_deref().unwrap_or_default());
        let teams: Vec<String> = section.array("teams").unwrap_or_default();
        let mut taken_teams = Taken::default();
        for team in &teams {
            taken_teams.check_name(section, "teams", team);
        }
        Some(Self { name: name?, id, teams })
    }
}
