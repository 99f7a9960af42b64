//! What accounts may do: workspaces, teams, roles, permission sets, permissions, grants.
//!
//! | file | what it is |
//! | --- | --- |
//! | `settings` | what the operator configures about access, as plain data |
//! | `name` | names and ids |
//! | `catalogue` | everything that access may name, built from the settings |
//! | `entitlement` | one piece of access as a text, which is how it is stored and sent |
//! | `vocabulary` | how schemas hold `roles` and `entitlements` to the catalogue |
//! | `direct` | the access that an account's own attributes name |
//! | `effective` | all that it comes to, with where each piece comes from |
//! | `offer` | roles and entitlements as resources, for clients that show them in a list |
//! | `change` | what becomes of stored access when the catalogue changes |

mod catalogue;
mod change;
mod direct;
mod effective;
mod entitlement;
pub(crate) mod name;
mod offer;
mod settings;
mod vocabulary;

pub use catalogue::{Catalogue, Team, Workspace};
pub use change::{AccessNames, followed};
pub use direct::{DefaultAccess, Direct};
pub use effective::{Effective, GroupOfAccount, Source, loses_grant};
pub use entitlement::Entitlement;
pub use offer::Offer;
pub use settings::{
    AccessSettings, AccessWords, Grant, GroupName, PermissionSet, Role, TeamAccess,
    UnknownDepartments, WorkspaceAccess, WorkspaceSettings,
};
pub use vocabulary::install;
