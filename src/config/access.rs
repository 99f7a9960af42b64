//! `[access]`: the permissions and departments that exist.

use super::name;
use super::reader::Section;
use crate::access::{AccessWords, UnknownDepartments};

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
