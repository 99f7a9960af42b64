//! `[[grants]]`: access that comes with membership of a group.

use super::name;
use super::reader::Section;
use super::role::Known;
use crate::access::{Grant, GroupName, Role, WorkspaceAccess};

impl Grant {
    /// Reads one grant; `None` if it names no group.
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
