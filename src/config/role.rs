//! `[[permission_sets]]` and `[[roles]]`: named access.

use super::name::{self, Taken};
use super::reader::Section;
use crate::access::{
    AccessWords, PermissionSet, Role, TeamAccess, WorkspaceAccess, WorkspaceSettings,
};

/// The items to which access may refer; `None` for kinds that could not be read completely.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) access: &'a AccessWords,
    pub(super) workspaces: Option<&'a [WorkspaceSettings]>,
    pub(super) permission_sets: Option<&'a [PermissionSet]>,
}

impl PermissionSet {
    /// Reads one permission set; `None` without a name.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        taken: &mut Taken,
        access: &AccessWords,
    ) -> Option<Self> {
        let name = taken.name(section, "the permission set's name");
        let id = taken.id::<Self>(section, name.as_deref().unwrap_or_default());
        let permissions = name::permissions(section, "permissions", &access.workspace_permissions);
        Some(Self { name: name?, id, permissions })
    }
}

impl Role {
    /// Reads one role; `None` without a name.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        taken: &mut Taken,
        known: Known<'_>,
    ) -> Option<Self> {
        let name = taken.name(section, "the role's name");
        let id = taken.id::<Self>(section, name.as_deref().unwrap_or_default());
        let workspaces = WorkspaceAccess::read_all(section, known);
        Some(Self { name: name?, id, workspaces })
    }
}

impl WorkspaceAccess {
    /// Reads the `workspaces` of a role or a grant.
    pub(super) fn read_all(section: &mut Section<'_, '_>, known: Known<'_>) -> Vec<Self> {
        let read = section.tables("workspaces", |section| Self::read(section, known));
        read.unwrap_or_default().into_iter().flatten().collect()
    }

    fn read(section: &mut Section<'_, '_>, known: Known<'_>) -> Option<Self> {
        let named: Option<String> = section.required("name", "the name or id of a workspace");
        let workspace = named.map(|named| name::resolve(section, "name", &named, known.workspaces));
        let permissions =
            name::permissions(section, "permissions", &known.access.workspace_permissions);
        let sets: Vec<String> = section.array("permission_sets").unwrap_or_default();
        let permission_sets = sets
            .iter()
            .map(|set| name::resolve(section, "permission_sets", set, known.permission_sets))
            .collect();
        let found = known
            .workspaces
            .and_then(|known| known.iter().find(|one| Some(&one.name) == workspace.as_ref()));
        let teams = section.tables("teams", |section| {
            TeamAccess::read(section, found.map(|workspace| workspace.teams.as_slice()), known)
        });
        let teams = teams.unwrap_or_default().into_iter().flatten().collect();
        Some(Self { workspace: workspace?, permissions, permission_sets, teams })
    }
}

impl TeamAccess {
    fn read(
        section: &mut Section<'_, '_>,
        teams: Option<&[String]>,
        known: Known<'_>,
    ) -> Option<Self> {
        let named: Option<String> = section.required("name", "the name of a team of the workspace");
        let team = named.map(|named| name::resolve(section, "name", &named, teams));
        let permissions = name::permissions(section, "permissions", &known.access.team_permissions);
        Some(Self { team: team?, permissions })
    }
}
