//! Runs of resources that are in no group.

use std::ops::ControlFlow;

use crate::scim::resource::ResourceId;
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// Which resources of a list are in no group. Ids stand in the order of the memberships, so one look finds the next
/// resource that is in a group, and those before it need none.
#[derive(Default)]
pub(crate) struct Ungrouped {
    /// From the first one on, none before the second is in a group.
    run: Option<(ResourceId, Option<ResourceId>)>,
    /// Whether the last one was in a group: then the next one is as a rule, and its groups are looked up anyway.
    was_grouped: bool,
}

impl Ungrouped {
    /// Whether a resource is known to be in no group.
    ///
    /// # Errors
    ///
    /// The storage failed.
    pub(crate) fn contains(
        &mut self,
        state: &dyn Read,
        id: ResourceId,
    ) -> Result<bool, StoreError> {
        let is_in = |(first, next): (ResourceId, Option<ResourceId>)| {
            first <= id && next.is_none_or(|next| id < next)
        };
        if !self.was_grouped && !self.run.is_some_and(is_in) {
            self.run = Some((id, next_member(state, id)?));
        }
        Ok(self.run.is_some_and(is_in))
    }

    /// Notes whether the last resource was in a group.
    pub(crate) fn note(&mut self, is_grouped: bool) {
        self.was_grouped = is_grouped;
    }
}

/// The first resource from one on that has a membership, void or not.
fn next_member(state: &dyn Read, from: ResourceId) -> Result<Option<ResourceId>, StoreError> {
    let mut next = None;
    state.scan(keys::ALL_MEMBERSHIPS, Some(&keys::memberships(from)), &mut |key, _| {
        next = match keys::kind(key) {
            Some(Kind::Membership(member, _)) => Some(member),
            // Not known to be in none.
            _ => Some(from),
        };
        ControlFlow::Break(())
    })?;
    Ok(next)
}

/// Checks what is known of resources, in the order of their ids.
#[cfg(test)]
pub(super) fn check(state: &dyn Read, ids: &[ResourceId]) {
    let (mut ungrouped, mut was_grouped) = (Ungrouped::default(), false);
    for id in ids {
        let is_grouped = !super::graph::stored_groups_of(state, *id).unwrap().is_empty();
        let is_known = ungrouped.contains(state, *id).unwrap();
        // Behind one that is in a group it need not be known.
        assert!(is_known != is_grouped || !is_known && was_grouped, "{id}");
        ungrouped.note(is_grouped);
        was_grouped = is_grouped;
    }
}
