//! `[[workspaces]]`: the workspaces and their teams.

use super::name::Taken;
use super::reader::Section;
use crate::access::WorkspaceSettings;

impl WorkspaceSettings {
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
