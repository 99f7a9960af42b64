//! Memberships that no longer count, although their keys are still there.
//!
//! Taking away never fails for size: a resource with very many memberships is deleted, and a group loses
//! very many members, in one small change. It sets a marker that makes the memberships void at once;
//! [`super::clear`] deletes their keys afterwards, in bounded commands, and then the marker. Everything
//! that reads memberships asks here which of them count.
//!
//! A marker is written once. A membership that is written while its group has a marker carries the
//! marker's stamp, and so counts, whatever the marker says of the member.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::directory::membership::value::{self, STAMP, Stamp};
use crate::directory::transaction::Transaction;
use crate::event::Actor;
use crate::scim::resource::ResourceId;
use crate::store::{Read, StoreError, keys};

/// How many memberships a command ends or renames itself; beyond it sets a marker. Unit tests have few
/// members, and want markers.
pub(crate) const IN_PLACE: usize = if cfg!(test) { 2 } else { 1_000 };
/// How many bytes an id has.
const ID: usize = 16;
/// Before every id that there is.
const NO_ID: ResourceId = ResourceId::from_bytes([0; ID]);

/// The first byte of a marker: its extent.
const ALL: u8 = 0;
/// As [`ALL_BUT`], but with an id in place of the stamp: only members behind it are void. No longer written.
const ALL_BUT_FROM: u8 = 1;
const ALL_BUT: u8 = 2;
const ONLY: u8 = 3;

/// Which memberships of a resource are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All, as a group and as a member: the resource was deleted.
    All,
    /// Those to its members, but for the members that are listed.
    AllBut,
    /// Those to the members that are listed.
    Only,
}

/// A marker, as it is stored: which memberships are void, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    pub(crate) extent: Extent,
    /// What memberships carry that were written after the marker.
    stamp: Stamp,
    /// Members up to this one are not void: an earlier version noted in the marker how far it had cleared.
    counts_upto: ResourceId,
    /// As JSON: what is cleared later is still this actor's change.
    actor: Bytes,
    /// Members, in order.
    list: Bytes,
}

impl Marker {
    /// A marker that was not there before.
    pub(crate) fn new(
        extent: Extent,
        stamp: Stamp,
        actor: &Actor,
        list: impl IntoIterator<Item = ResourceId>,
    ) -> Self {
        let actor = serde_json::to_vec(actor).unwrap_or_default().into();
        let mut list: Vec<ResourceId> = list.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        let list = list.iter().flat_map(|id| *id.as_bytes()).collect();
        Self { extent, stamp, counts_upto: NO_ID, actor, list }
    }

    /// Writes the marker; nothing of it is cleared yet.
    pub(super) fn put(&self, tx: &mut Transaction<'_>, id: ResourceId) {
        tx.put(keys::void(id), self.encode());
        tx.delete(keys::cleared(id));
    }

    /// A marker for a resource that is deleted.
    pub(crate) fn of_deleted(actor: &Actor, now: Timestamp) -> Self {
        Self::new(Extent::All, Stamp::unique(now), actor, [])
    }

    /// The listed members, in order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = ResourceId> {
        self.listed_after(NO_ID)
    }

    /// The listed members behind one of them, in order.
    pub(crate) fn listed_after(&self, member: ResourceId) -> impl Iterator<Item = ResourceId> {
        let after = self.place(member).map_or_else(|place| place, |place| place + 1);
        let rest = self.list.get(after * ID..).unwrap_or_default().chunks_exact(ID);
        rest.filter_map(|id| id.try_into().ok().map(ResourceId::from_bytes))
    }

    /// Where a member is in the list, or else where it would be.
    fn place(&self, member: ResourceId) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.list.len() / ID);
        while low < high {
            let middle = low.midpoint(high);
            let id = self.list.get(middle * ID..(middle + 1) * ID).unwrap_or_default();
            match id.cmp(member.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether the membership of a member, with the value that it has, is void.
    pub(crate) fn voids(&self, member: ResourceId, value: &[u8]) -> bool {
        let is_listed = || self.place(member).is_ok();
        let is_earlier = || value::stamp(value) != Some(self.stamp) && member > self.counts_upto;
        match self.extent {
            Extent::All => true,
            Extent::AllBut => is_earlier() && !is_listed(),
            Extent::Only => is_earlier() && is_listed(),
        }
    }

    /// Whose change it is.
    pub(crate) fn actor(&self) -> Actor {
        serde_json::from_slice(&self.actor).unwrap_or(Actor::System)
    }

    fn encode(&self) -> Vec<u8> {
        let extent = match self.extent {
            Extent::All => ALL,
            Extent::AllBut => ALL_BUT,
            Extent::Only => ONLY,
        };
        let length = u32::try_from(self.actor.len()).unwrap_or_default().to_le_bytes();
        let stamp = self.stamp.as_bytes().as_slice();
        [&[extent], length.as_slice(), stamp, &self.actor, &self.list].concat()
    }

    pub(crate) fn decode(key: &[u8], value: &Bytes) -> Result<Self, StoreError> {
        let read = || {
            let (extent, rest) = value.split_first()?;
            let (length, rest) = rest.split_first_chunk()?;
            let (stamp, rest) = rest.split_first_chunk::<STAMP>()?;
            let (actor, list) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let (extent, counts_upto) = match *extent {
                ALL => (Extent::All, NO_ID),
                ALL_BUT => (Extent::AllBut, NO_ID),
                ONLY => (Extent::Only, NO_ID),
                // The id is as good a stamp as any: no other marker has it.
                ALL_BUT_FROM => (Extent::AllBut, ResourceId::from_bytes(*stamp)),
                _ => return None,
            };
            let whole = list.len().is_multiple_of(ID);
            let stamp = Stamp::from_bytes(*stamp);
            let (actor, list) = (value.slice_ref(actor), value.slice_ref(list));
            whole.then_some(Self { extent, stamp, counts_upto, actor, list })
        };
        read().ok_or_else(|| StoreError::damaged(key))
    }
}

/// The markers that there are: usually none.
#[derive(Debug, Default)]
pub(crate) struct Voids(BTreeMap<ResourceId, Marker>);

impl Voids {
    /// Reads all markers. Where there is none, that is one look-up.
    pub(crate) fn load(state: &dyn Read) -> Result<Self, StoreError> {
        let mut voids = Self::default();
        let mut problem = Ok(());
        state.scan(&keys::VOIDS, None, &mut |key, value| match voids.note(key, &value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                problem = Err(error);
                ControlFlow::Break(())
            }
        })?;
        problem.map(|()| voids)
    }

    /// Adds a marker that was read.
    pub(crate) fn note(&mut self, key: &[u8], value: &Bytes) -> Result<(), StoreError> {
        if let Some(id) = keys::trailing_id(key) {
            self.0.insert(id, Marker::decode(key, value)?);
        }
        Ok(())
    }

    /// Whether a membership, with the value that it has, is void.
    pub(crate) fn contain(&self, group: ResourceId, member: ResourceId, value: &[u8]) -> bool {
        !self.0.is_empty()
            && (self.0.get(&group).is_some_and(|marker| marker.voids(member, value))
                || self.0.get(&member).is_some_and(|marker| marker.extent == Extent::All))
    }

    /// Whether a membership that is there is void. Its value is read only if the group has a marker.
    pub(crate) fn contain_stored(
        &self,
        state: &dyn Read,
        group: ResourceId,
        member: ResourceId,
    ) -> Result<bool, StoreError> {
        if !self.0.contains_key(&group) {
            return Ok(self.contain(group, member, &[]));
        }
        // One that is gone by now counts no more.
        let value = state.get(&keys::member(group, member))?;
        Ok(value.is_none_or(|value| self.contain(group, member, &value)))
    }

    /// What a membership of a group has to carry from now on.
    pub(crate) fn stamp(&self, group: ResourceId) -> Option<Stamp> {
        self.0.get(&group).map(|marker| marker.stamp)
    }

    pub(crate) fn get(&self, id: ResourceId) -> Option<&Marker> {
        self.0.get(&id)
    }

    pub(crate) fn remove(&mut self, id: ResourceId) -> Option<Marker> {
        self.0.remove(&id)
    }
}

/// Whether memberships wait to be cleared, or to show a new name.
pub(crate) fn is_pending(state: &dyn Read) -> Result<bool, StoreError> {
    let mut pending = false;
    state.scan(&keys::PENDING, None, &mut |_, _| {
        pending = true;
        ControlFlow::Break(())
    })?;
    Ok(pending)
}

/// The marker of a member whose new name its memberships do not show yet.
pub(crate) struct Rename {
    pub(crate) actor: Actor,
    /// The last group that shows it.
    pub(crate) cursor: ResourceId,
}

impl Rename {
    pub(crate) fn new(actor: &Actor) -> Self {
        Self { actor: actor.clone(), cursor: NO_ID }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let actor = serde_json::to_vec(&self.actor).unwrap_or_default();
        [self.cursor.as_bytes().as_slice(), &actor].concat()
    }

    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let (cursor, actor) = value.split_first_chunk()?;
            let actor = serde_json::from_slice(actor).ok()?;
            Some(Self { actor, cursor: ResourceId::from_bytes(*cursor) })
        };
        read().ok_or_else(|| StoreError::damaged(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ResourceId {
        ResourceId::from_bytes([number; ID])
    }

    #[test]
    fn a_marker_reads_back_and_voids_what_it_says() {
        let [stamp, other] =
            [1, 2].map(|second| Stamp::unique(Timestamp::from_second(second).unwrap()));
        let (later, earlier) =
            (value::encode(1, "A", Some(stamp)), value::encode(1, "A", Some(other)));
        let marker = |extent| Marker::new(extent, stamp, &Actor::System, [7, 3, 5, 3].map(id));
        let all_but = marker(Extent::AllBut);
        for (marker, void) in [
            (marker(Extent::All), vec![1, 2, 3, 4, 5, 6, 7]),
            (all_but.clone(), vec![1, 2, 4, 6]),
            (marker(Extent::Only), vec![3, 5, 7]),
        ] {
            let read = Marker::decode(b"k", &marker.encode().into()).unwrap();
            let voids =
                |value: &[u8]| (1..8).filter(|n| read.voids(id(*n), value)).collect::<Vec<_>>();
            assert_eq!((voids(b"\x01A"), voids(&earlier)), (void.clone(), void.clone()));
            let all = marker.extent == Extent::All;
            assert_eq!(voids(&later), if all { void } else { Vec::new() });
            assert_eq!(read.actor(), Actor::System);
        }
        // A marker of an earlier version, which had cleared up to the third member.
        let mut earlier = all_but.encode();
        earlier[0] = ALL_BUT_FROM;
        earlier[5..5 + ID].fill(3);
        let earlier = Marker::decode(b"k", &earlier.into()).unwrap();
        let void: Vec<u8> = (1..8).filter(|n| earlier.voids(id(*n), b"\x01A")).collect();
        assert_eq!(void, [4, 6]);
        let added = value::encode(1, "A", Some(earlier.stamp));
        assert!((1..8).all(|n| !earlier.voids(id(n), &added)));
        for (after, left) in [(0, 3), (3, 2), (4, 2), (7, 0), (9, 0)] {
            assert_eq!(all_but.listed_after(id(after)).count(), left, "{after}");
        }
        let whole = all_but.encode().len();
        for length in 0..whole {
            let cut = Bytes::from(all_but.encode()).slice(..length);
            let reads = Marker::decode(b"k", &cut).is_ok_and(|read| read.actor() == Actor::System);
            assert!(!reads || (whole - length).is_multiple_of(ID), "{length}");
        }
    }
}
