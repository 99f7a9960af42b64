//! Entitlements: one piece of access as a text, in storage and on the wire.
//!
//! ```text
//! company:PERMISSION
//! workspace:WORKSPACE
//! workspace:WORKSPACE:permission:PERMISSION
//! workspace:WORKSPACE:set:PERMISSION_SET
//! workspace:WORKSPACE:team:TEAM
//! workspace:WORKSPACE:team:TEAM:PERMISSION
//! ```
//!
//! Requests may use names or ids. Names are stored. No name contains a colon.

use std::fmt;

use super::catalogue::Catalogue;
use super::settings::{TeamAccess, WorkspaceAccess};
use crate::scim::error::ScimError;
use crate::text::excerpt;

/// One piece of access. Every item that it refers to is in the catalogue, and is given by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// A permission in the company as a whole.
    Company {
        /// The permission.
        permission: String,
    },
    /// Access to a workspace.
    Workspace {
        /// The workspace.
        workspace: String,
    },
    /// A permission in a workspace.
    Permission {
        /// The workspace.
        workspace: String,
        /// The permission.
        permission: String,
    },
    /// The permissions of a set in a workspace.
    PermissionSet {
        /// The workspace.
        workspace: String,
        /// The permission set.
        set: String,
    },
    /// Membership of a team.
    Team {
        /// The workspace.
        workspace: String,
        /// The team.
        team: String,
    },
    /// A permission in a team.
    TeamPermission {
        /// The workspace.
        workspace: String,
        /// The team.
        team: String,
        /// The permission.
        permission: String,
    },
}

impl Entitlement {
    /// How a permission in the company begins, as it is stored.
    pub const FOR_COMPANY: &str = "company:";

    /// Whether an entitlement, as it is stored, is a permission in the company.
    pub fn is_for_company(text: &str) -> bool {
        text.starts_with(Self::FOR_COMPANY)
    }

    /// Parses an entitlement. Keywords are accepted in any letter case.
    ///
    /// # Errors
    ///
    /// `invalidValue`, with the malformed part or the unknown name.
    pub fn parse(catalogue: &Catalogue, text: &str) -> Result<Self, ScimError> {
        let parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let is = |word: &str, expected: &str| word.eq_ignore_ascii_case(expected);
        match parts.as_slice() {
            [company, permission] if is(company, "company") => {
                Ok(Self::Company { permission: catalogue.company_permission(permission)? })
            }
            [kind, workspace, rest @ ..] if is(kind, "workspace") => {
                let found = catalogue.workspace(workspace)?;
                let workspace = found.name.clone();
                match rest {
                    [] => Ok(Self::Workspace { workspace }),
                    [kind, word] if is(kind, "permission") => Ok(Self::Permission {
                        workspace,
                        permission: catalogue.workspace_permission(word)?,
                    }),
                    [kind, set] if is(kind, "set") => Ok(Self::PermissionSet {
                        workspace,
                        set: catalogue.permission_set(set)?.name.clone(),
                    }),
                    [kind, team] if is(kind, "team") => {
                        Ok(Self::Team { workspace, team: found.team(team)?.name.clone() })
                    }
                    [kind, team, word] if is(kind, "team") => Ok(Self::TeamPermission {
                        workspace,
                        team: found.team(team)?.name.clone(),
                        permission: catalogue.team_permission(word)?,
                    }),
                    _ => Err(malformed(text)),
                }
            }
            _ => Err(malformed(text)),
        }
    }

    /// Returns what access to a workspace consists of, permission sets as such.
    pub fn of_workspace(access: &WorkspaceAccess) -> Vec<Self> {
        let workspace = || access.workspace.clone();
        let mut pieces = vec![Self::Workspace { workspace: workspace() }];
        for permission in access.permissions.iter().cloned() {
            pieces.push(Self::Permission { workspace: workspace(), permission });
        }
        for set in access.permission_sets.iter().cloned() {
            pieces.push(Self::PermissionSet { workspace: workspace(), set });
        }
        for TeamAccess { team, permissions } in &access.teams {
            pieces.push(Self::Team { workspace: workspace(), team: team.clone() });
            for permission in permissions.iter().cloned() {
                let team = team.clone();
                pieces.push(Self::TeamPermission { workspace: workspace(), team, permission });
            }
        }
        pieces
    }

    /// Returns the workspace of the entitlement.
    pub fn workspace(&self) -> Option<&str> {
        match self {
            Self::Company { .. } => None,
            Self::Workspace { workspace }
            | Self::Permission { workspace, .. }
            | Self::PermissionSet { workspace, .. }
            | Self::Team { workspace, .. }
            | Self::TeamPermission { workspace, .. } => Some(workspace),
        }
    }

    /// Returns the kind of the entitlement, as one word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Company { .. } => "companyPermission",
            Self::Workspace { .. } => "workspace",
            Self::Permission { .. } => "workspacePermission",
            Self::PermissionSet { .. } => "permissionSet",
            Self::Team { .. } => "team",
            Self::TeamPermission { .. } => "teamPermission",
        }
    }

    /// Returns the description that people see in a list.
    pub fn in_words(&self) -> String {
        match self {
            Self::Company { permission } => format!("{permission} in the company"),
            Self::Workspace { workspace } => format!("workspace {workspace}"),
            Self::Permission { workspace, permission } => {
                format!("{permission} in workspace {workspace}")
            }
            Self::PermissionSet { workspace, set } => {
                format!("permission set {set} in workspace {workspace}")
            }
            Self::Team { workspace, team } => format!("team {team} of workspace {workspace}"),
            Self::TeamPermission { workspace, team, permission } => {
                format!("{permission} in team {team} of workspace {workspace}")
            }
        }
    }

    /// Returns every entitlement of the catalogue.
    ///
    /// Unrestricted permissions, for which any word is accepted, are not included.
    pub fn all(catalogue: &Catalogue) -> impl Iterator<Item = Self> {
        let words = catalogue.words();
        let company = words.company_permissions.iter().cloned();
        let company = company.map(|permission| Self::Company { permission });
        company.chain(catalogue.workspaces.iter().flat_map(move |known| {
            let workspace = || known.name.clone();
            let permissions = words.workspace_permissions.iter().cloned();
            let sets = catalogue.permission_sets.iter().map(|set| set.name.clone());
            let teams = known.teams.iter().flat_map(move |team| {
                let permissions = words.team_permissions.iter().cloned();
                let (workspace, team) = (move || known.name.clone(), move || team.name.clone());
                std::iter::once(Self::Team { workspace: workspace(), team: team() }).chain(
                    permissions.map(move |permission| Self::TeamPermission {
                        workspace: workspace(),
                        team: team(),
                        permission,
                    }),
                )
            });
            std::iter::once(Self::Workspace { workspace: workspace() })
                .chain(
                    permissions.map(move |permission| Self::Permission {
                        workspace: workspace(),
                        permission,
                    }),
                )
                .chain(sets.map(move |set| Self::PermissionSet { workspace: workspace(), set }))
                .chain(teams)
        }))
    }
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Company { permission } => write!(f, "company:{permission}"),
            Self::Workspace { workspace } => write!(f, "workspace:{workspace}"),
            Self::Permission { workspace, permission } => {
                write!(f, "workspace:{workspace}:permission:{permission}")
            }
            Self::PermissionSet { workspace, set } => write!(f, "workspace:{workspace}:set:{set}"),
            Self::Team { workspace, team } => write!(f, "workspace:{workspace}:team:{team}"),
            Self::TeamPermission { workspace, team, permission } => {
                write!(f, "workspace:{workspace}:team:{team}:{permission}")
            }
        }
    }
}

fn malformed(text: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "\"{}\" is not an entitlement; expected company:PERMISSION, workspace:NAME, or workspace:NAME followed by \
         :permission:PERMISSION, :set:PERMISSION_SET, :team:TEAM or :team:TEAM:PERMISSION.",
        excerpt(text, 100)
    ))
}
