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
//! | `grant` | which grants are for which groups |
//! | `walk` | everything that an account is given, with the way that leads to it |
//! | `item` | a role or a piece of access; what people ask for by a word |
//! | `effective` | every piece of an account's access, with its sources |
//! | `offer` | roles and entitlements as resources, for clients that show them in a list |
//! | `change` | the migration of stored access after a change of the catalogue |

mod catalogue;
mod change;
mod direct;
mod effective;
mod entitlement;
mod grant;
mod item;
pub(crate) mod name;
mod offer;
mod settings;
mod vocabulary;
mod walk;

pub use catalogue::{Catalogue, Team, Workspace};
pub use change::{AccessNames, followed};
pub use direct::{DefaultAccess, Direct};
pub use effective::{Effective, Source};
pub use entitlement::Entitlement;
pub use grant::{
    GroupOfAccount, gains_company_permissions, gains_grants, grants_of, is_called, is_managed,
    loses_grant,
};
pub use item::{AccessItem, AccessPattern};
pub use offer::Offer;
pub use settings::{
    AccessSettings, AccessWords, Grant, GroupName, NO_CONNECTION, PermissionSet, Role, TeamAccess,
    UnknownDepartments, WorkspaceAccess, WorkspaceSettings,
};
pub use vocabulary::install;
pub use walk::{AccessWay, walk};
