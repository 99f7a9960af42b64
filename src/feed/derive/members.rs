//! Which memberships a frame has begun and ended: by their keys, and by markers that void them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;

use super::Change;
use crate::directory::membership::{Extent, Marker};
use crate::event::Verb;
use crate::scim::resource::ResourceId;
use crate::store::StoreError;
use crate::store::keys::{self, Kind};

/// A member: the byte of its type, and its id.
pub(super) type Member = (u8, ResourceId);

/// The members that a group has gained and lost; 24 bytes a member.
#[derive(Default)]
pub(super) struct MemberChanges {
    added: BTreeSet<Member>,
    removed: BTreeSet<Member>,
}

impl MemberChanges {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// The members that were added, then those that were removed.
    pub(super) fn all(&self) -> impl Iterator<Item = Member> {
        self.added.iter().chain(&self.removed).copied()
    }

    /// The changes in parts of at most `most` members.
    pub(super) fn parts(
        &self,
        most: usize,
    ) -> impl ExactSizeIterator<Item = (Vec<Member>, Vec<Member>)> {
        let count = (self.added.len() + self.removed.len()).div_ceil(most);
        let (mut added, mut removed) = (self.added.iter(), self.removed.iter());
        (0..count).map(move |_| {
            let added: Vec<Member> = added.by_ref().take(most).copied().collect();
            let left = most - added.len();
            (added, removed.by_ref().take(left).copied().collect())
        })
    }
}

impl Change<'_> {
    /// The memberships that have begun and ended, by group.
    pub(super) fn members(&self) -> Result<BTreeMap<ResourceId, MemberChanges>, StoreError> {
        let mut changes = BTreeMap::new();
        for write in &self.frame.writes {
            match keys::kind(&write.key) {
                Some(Kind::Member(group, member)) => {
                    let before = self.before.state.get(&write.key)?;
                    self.compare(
                        group,
                        member,
                        before.as_ref(),
                        write.value.as_ref(),
                        &mut changes,
                    );
                }
                // Clearing removes what was void before, and then the marker: nothing that counts.
                Some(Kind::Void(id)) if self.frame.head.event.verb != Verb::Cleared => {
                    self.marked(id, &mut changes)?;
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    /// Notes a membership that counts on one side alone.
    fn compare(
        &self,
        group: ResourceId,
        member: ResourceId,
        before: Option<&Bytes>,
        after: Option<&Bytes>,
        changes: &mut BTreeMap<ResourceId, MemberChanges>,
    ) {
        let was = before.filter(|value| !self.before.voids.contain(group, member, value));
        let is = after.filter(|value| !self.after.voids.contain(group, member, value));
        let tag = |value: &Bytes| value.first().copied().unwrap_or_default();
        match (was, is) {
            (None, Some(value)) => {
                changes.entry(group).or_default().added.insert((tag(value), member));
            }
            (Some(value), None) => {
                changes.entry(group).or_default().removed.insert((tag(value), member));
            }
            _ => {}
        }
    }

    /// Notes the memberships that count otherwise because the marker of a resource has changed. Those whose keys were
    /// written are compared by them.
    fn marked(
        &self,
        id: ResourceId,
        changes: &mut BTreeMap<ResourceId, MemberChanges>,
    ) -> Result<(), StoreError> {
        self.before.state.scan(&keys::members(id), None, &mut |key, value| {
            if let Some(member) = keys::trailing_id(key)
                && !self.written.changes(key)
            {
                self.compare(id, member, Some(&value), Some(&value), changes);
            }
            ControlFlow::Continue(())
        })?;
        let of_all = |marker: Option<&Marker>| marker.is_some_and(|one| one.extent == Extent::All);
        if !of_all(self.before.voids.get(id)) && !of_all(self.after.voids.get(id)) {
            return Ok(());
        }
        let mut groups = Vec::new();
        self.before.state.scan(&keys::memberships(id), None, &mut |key, _| {
            groups.extend(keys::trailing_id(key));
            ControlFlow::Continue(())
        })?;
        for group in groups {
            let key = keys::member(group, id);
            if let Some(value) = self.before.state.get(&key)?
                && !self.written.changes(&key)
            {
                self.compare(group, id, Some(&value), Some(&value), changes);
            }
        }
        Ok(())
    }
}
