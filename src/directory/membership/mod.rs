//! Memberships: which resources belong to which groups.
//!
//! A membership is two keys, one from each end, never a list inside a record: what a change costs does
//! not depend on how many members a group has. The name that is shown beside a member is stored with the
//! membership, so that listing members reads no other record; it follows when the member is renamed.

mod change;
mod clear;
mod follow;
mod graph;
mod list;
mod read;
mod reference;
mod ungrouped;
mod value;
mod void;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

pub(crate) use change::{GroupMembers, ids, link, named, named_by};
pub(crate) use clear::Clear;
pub(crate) use follow::{bump_version, leave_all, rename, show_as, unlink_all};
pub(crate) use graph::{ancestors, climb, groups_of};
pub(crate) use read::{
    digest_of_groups, find_any, members_among, name_of, references, some_members, visit_members,
};
pub use reference::{Reference, ReferenceList, ReferenceWriter};
pub(crate) use ungrouped::Ungrouped;
#[cfg(test)]
pub(crate) use value::display;
pub(crate) use value::unstamped;
pub(crate) use void::{Extent, Marker, Voids, is_pending};
