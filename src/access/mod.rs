//! What accounts may do: workspaces, teams, roles, permission sets, permissions, grants.
//!
//! | file | what it is |
//! | --- | --- |
//! | `settings` | the access settings, as plain data |
//! | `name` | names and ids |
//! | `catalogue` | the workspaces, teams, roles, permission sets and permissions that exist |
//! | `entitlement` | one piece of access as a text, which is how it is stored and sent |
//! | `vocabulary` | the values of `roles`, `entitlements` and `department` that the catalogue allows |
//! | `direct` | the access in an account's own attributes |
//! | `effective` | every piece of an account's access, with its sources |
//! | `offer` | roles and entitlements as resources, for clients that show them in a list |
//! | `change` | the migration of stored access after a change of the catalogue |

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
pub use effective::{
    Effective, GroupOfAccount, Source, gains_company_permissions, gains_grants, grants_of,
    is_called, is_managed, loses_grant,
};
pub use entitlement::Entitlement;
pub use offer::Offer;
pub use settings::{
    AccessSettings, AccessWords, Grant, GroupName, NO_CONNECTION, PermissionSet, Role, TeamAccess,
    UnknownDepartments, WorkspaceAccess, WorkspaceSettings,
};
pub use vocabulary::install;
