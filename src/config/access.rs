//! `[access]`: the permissions and departments that exist.

use super::name;
use super::reader::Section;
use crate::access::{AccessWords, PermissionSet, UnknownDepartments, WorkspaceSettings};

/// The maximum number of entitlements in the access catalogue.
const MAX_ENTITLEMENTS: usize = 100_000;

impl AccessWords {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let mut words = |key: &'static str, default: Vec<String>| {
            let written = section.is_written(key);
            let words = name::permissions(section, key, &[]);
            if written { words } else { default }
        };
        Self {
            company_permissions: words("company_permissions", default.company_permissions),
            workspace_permissions: words("workspace_permissions", default.workspace_permissions),
            team_permissions: words("team_permissions", default.team_permissions),
            departments: words("departments", default.departments),
            unknown_departments: section
                .parsed("unknown_departments", UnknownDepartments::default()),
        }
    }
}

/// Records a problem if the catalogue has more than [`MAX_ENTITLEMENTS`] entitlements.
pub(super) fn check_size(
    root: &mut Section<'_, '_>,
    access: &AccessWords,
    workspaces: &[WorkspaceSettings],
    permission_sets: &[PermissionSet],
) {
    let in_workspace = 1 + access.workspace_permissions.len() + permission_sets.len();
    let in_team = 1 + access.team_permissions.len();
    let teams: usize = workspaces.iter().map(|workspace| workspace.teams.len()).sum();
    let count = workspaces.len().saturating_mul(in_workspace).saturating_add(teams * in_team);
    if count > MAX_ENTITLEMENTS {
        root.problem(
            "workspaces",
            format!(
                "workspaces, teams, permissions and permission sets make {count} entitlements; expected at most \
                 {MAX_ENTITLEMENTS}"
            ),
        );
    }
}
