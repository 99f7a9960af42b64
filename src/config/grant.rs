//! `[[grants]]`: access that comes with membership of a group.

use super::name;
use super::reader::Section;
use super::role::{Known, Role, WorkspaceAccess};

/// What every member of a group gets, for as long as the membership lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which group.
    pub group: GroupName,
    /// Permissions in the company.
    pub company_permissions: Vec<String>,
    /// The names of roles.
    pub roles: Vec<String>,
    /// Access to workspaces.
    pub workspaces: Vec<WorkspaceAccess>,
}

/// How a grant names its group, which need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupName {
    /// By its `displayName`, in any letter case.
    DisplayName(String),
    /// By its `externalId`: it stays the same when the group is renamed.
    ExternalId(String),
}

impl Grant {
    /// Reads one grant; `None` if it does not say which group it is for.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        known: Known<'_>,
        roles: Option<&[Role]>,
    ) -> Option<Self> {
        let display_name: Option<String> = section.optional("group");
        let external_id: Option<String> = section.optional("external_id");
        let group = match (display_name, external_id) {
            (Some(name), None) => Some(GroupName::DisplayName(name)),
            (None, Some(id)) => Some(GroupName::ExternalId(id)),
            (None, None) => {
                section.missing("group", "missing; expected group = \"…\" or external_id = \"…\"");
                None
            }
            (Some(_), Some(_)) => {
                section.problem("external_id", "expected either group or external_id, not both");
                None
            }
        };
        let company_permissions =
            name::permissions(section, "company_permissions", &known.access.company_permissions);
        let named: Vec<String> = section.array("roles").unwrap_or_default();
        let roles = named.iter().map(|role| name::resolve(section, "roles", role, roles)).collect();
        let workspaces = WorkspaceAccess::read_all(section, known);
        Some(Self { group: group?, company_permissions, roles, workspaces })
    }
}
