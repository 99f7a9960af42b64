//! Memberships: which resources belong to which groups.
//!
//! A membership is two keys, one from each end, never a list inside a record: what a change costs does
//! not depend on how many members a group has. The name that is shown beside a member is stored with the
//! membership, so that listing members reads no other record; it follows when the member is renamed.

mod change;
mod clear;
mod graph;
mod list;
mod read;
mod void;

#[cfg(test)]
mod laws;

pub(crate) use change::{
    GroupMembers, bump_version, ids, leave_all, link, named, rename, show_as, unlink_all,
};
pub(crate) use clear::Clear;
pub(crate) use graph::{ancestors, groups_of};
pub use read::Reference;
pub(crate) use read::{find_any, references, some_members, visit_members};
pub(crate) use void::{Marker, Voids, is_pending};
