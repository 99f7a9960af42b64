//! `[[permission_sets]]` and `[[roles]]`: access that has a name.

use super::name::{self, Named, Taken};
use super::reader::Section;
use super::{Access, Workspace};

/// Permissions in a workspace under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionSet {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id: given, or derived from the name.
    pub id: String,
    /// What it permits in a workspace.
    pub permissions: Vec<String>,
}

/// Access to workspaces under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The name: 1 to 100 characters, unique in any letter case.
    pub name: String,
    /// The id: given, or derived from the name.
    pub id: String,
    /// To which workspaces it gives which access.
    pub workspaces: Vec<WorkspaceAccess>,
}

/// Access to one workspace. Everything is named as the configuration names it, not by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceAccess {
    /// The workspace's name.
    pub workspace: String,
    /// Permissions in it.
    pub permissions: Vec<String>,
    /// The names of permission sets that hold in it.
    pub permission_sets: Vec<String>,
    /// Membership of its teams.
    pub teams: Vec<TeamAccess>,
}

/// Membership of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamAccess {
    /// The team's name.
    pub team: String,
    /// Permissions in it.
    pub permissions: Vec<String>,
}

impl Named for PermissionSet {
    const KIND: &'static str = "permission set";

    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Named for Role {
    const KIND: &'static str = "role";

    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

/// What access may refer to; `None` where it could not be read whole.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) access: &'a Access,
    pub(super) workspaces: Option<&'a [Workspace]>,
    pub(super) permission_sets: Option<&'a [PermissionSet]>,
}

impl PermissionSet {
    /// Reads one permission set; `None` without a name.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        taken: &mut Taken,
        access: &Access,
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

impl Named for String {
    const KIND: &'static str = "team";

    fn name(&self) -> &str {
        self
    }

    fn id(&self) -> Option<&str> {
        None
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
