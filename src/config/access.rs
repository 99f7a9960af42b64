//! `[access]`: the words that access is made of.

use std::str::FromStr;

use super::reader::Section;
use super::{Invalid, keyword, name};

/// The permissions in a company that are known where none are listed.
const COMPANY_PERMISSIONS: [&str; 3] =
    ["admin", "manage_company_settings", "add_remove_app_groups"];
/// The departments that are known where none are listed.
const DEPARTMENTS: [&str; 7] =
    ["agency", "bi", "c_suite", "engineering", "finance", "marketing", "pm"];

/// The permissions and departments that there are. An empty list takes any well-formed word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permissions in the company as a whole.
    pub company_permissions: Vec<String>,
    /// Permissions in a workspace.
    pub workspace_permissions: Vec<String>,
    /// Permissions in a team.
    pub team_permissions: Vec<String>,
    /// Departments.
    pub departments: Vec<String>,
    /// What becomes of a department that is not listed, where the method leaves the choice.
    pub unknown_departments: UnknownDepartments,
}

/// What becomes of a department that is not listed. Method `custom` refuses it in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownDepartments {
    /// It is kept as it is: identity providers send the company's own names.
    #[default]
    Keep,
    /// The request is refused.
    Refuse,
}

impl UnknownDepartments {
    /// Both, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Keep, Self::Refuse];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Refuse => "refuse",
        }
    }
}

impl FromStr for UnknownDepartments {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        keyword::parse("unknown_departments", Self::ALL, Self::as_str, text)
    }
}

impl Default for Access {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            company_permissions: words(&COMPANY_PERMISSIONS),
            workspace_permissions: Vec::new(),
            team_permissions: Vec::new(),
            departments: words(&DEPARTMENTS),
            unknown_departments: UnknownDepartments::default(),
        }
    }
}

impl Access {
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
