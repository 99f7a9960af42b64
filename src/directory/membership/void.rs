//! Memberships that no longer count, although their keys are still there.
//!
//! Taking away never fails for size: a resource with very many memberships is deleted, and a group loses
//! very many members, in one small change. It sets a marker that makes the memberships void at once;
//! [`super::clear`] deletes their keys afterwards, in bounded commands, and then the marker. Everything
//! that reads memberships asks here which of them count.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::event::Actor;
use crate::scim::resource::ResourceId;
use crate::store::{Read, StoreError, keys};

/// How many memberships a command ends or renames itself; beyond it sets a marker. Unit tests have few
/// members, and want markers.
pub(crate) const INLINE: usize = if cfg!(test) { 2 } else { 1_000 };
/// How many bytes an id has.
const ID: usize = 16;

/// Which memberships of a resource are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All, as a group and as a member: the resource was deleted.
    All,
    /// Those to its members, but for the members that are kept.
    Members,
}

/// A marker, as it is stored: which memberships are void, by whom, and how far they are cleared.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    pub(crate) extent: Extent,
    /// As JSON: what is cleared later is still this actor's change.
    actor: Bytes,
    /// The last member that was looked at by clearing; up to it, what is there counts.
    pub(crate) cursor: ResourceId,
    /// The members that are kept, in order.
    keep: Bytes,
}

impl Marker {
    /// A marker of which nothing is cleared yet.
    pub(crate) fn new(
        extent: Extent,
        actor: &Actor,
        keep: impl IntoIterator<Item = ResourceId>,
    ) -> Self {
        let actor = serde_json::to_vec(actor).unwrap_or_default().into();
        let marker =
            Self { extent, actor, cursor: ResourceId::from_bytes([0; ID]), keep: Bytes::new() };
        marker.keeping(keep)
    }

    /// The same marker, keeping these members.
    pub(crate) fn keeping(&self, keep: impl IntoIterator<Item = ResourceId>) -> Self {
        let mut keep: Vec<ResourceId> = keep.into_iter().collect();
        keep.sort_unstable();
        keep.dedup();
        let keep = keep.iter().flat_map(|id| *id.as_bytes()).collect();
        Self { keep, ..self.clone() }
    }

    /// The same marker, cleared up to a member.
    pub(crate) fn cleared_up_to(&self, cursor: ResourceId) -> Self {
        let keep = self.kept().filter(|id| *id > cursor);
        Self { cursor, ..self.keeping(keep) }
    }

    /// The members that are kept behind the cursor.
    pub(crate) fn kept(&self) -> impl Iterator<Item = ResourceId> {
        let chunks = self.keep.chunks_exact(ID);
        chunks.filter_map(|id| id.try_into().ok().map(ResourceId::from_bytes))
    }

    /// Whether the membership of a member counts.
    pub(crate) fn keeps(&self, member: ResourceId) -> bool {
        if self.extent == Extent::All {
            return false;
        }
        if member <= self.cursor {
            return true;
        }
        let (mut low, mut high) = (0, self.keep.len() / ID);
        while low < high {
            let middle = low.midpoint(high);
            let id = self.keep.get(middle * ID..(middle + 1) * ID).unwrap_or_default();
            match id.cmp(member.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    /// Whose change it is.
    pub(crate) fn actor(&self) -> Actor {
        serde_json::from_slice(&self.actor).unwrap_or(Actor::System)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let extent = match self.extent {
            Extent::All => 0,
            Extent::Members => 1,
        };
        let length = u32::try_from(self.actor.len()).unwrap_or_default().to_le_bytes();
        let cursor = self.cursor.as_bytes().as_slice();
        [&[extent], length.as_slice(), cursor, &self.actor, &self.keep].concat()
    }

    pub(crate) fn decode(key: &[u8], value: &Bytes) -> Result<Self, StoreError> {
        let read = || {
            let (extent, rest) = value.split_first()?;
            let (length, rest) = rest.split_first_chunk()?;
            let (cursor, rest) = rest.split_first_chunk()?;
            let (actor, keep) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let extent = match extent {
                0 => Extent::All,
                1 => Extent::Members,
                _ => return None,
            };
            let whole = keep.len().is_multiple_of(ID);
            let cursor = ResourceId::from_bytes(*cursor);
            let (actor, keep) = (value.slice_ref(actor), value.slice_ref(keep));
            whole.then_some(Self { extent, actor, cursor, keep })
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

    /// Whether a membership is void.
    pub(crate) fn contain(&self, group: ResourceId, member: ResourceId) -> bool {
        !self.0.is_empty()
            && (self.0.get(&group).is_some_and(|marker| !marker.keeps(member))
                || self.0.get(&member).is_some_and(|marker| marker.extent == Extent::All))
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
        Self { actor: actor.clone(), cursor: ResourceId::from_bytes([0; ID]) }
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
    fn a_marker_reads_back_and_keeps_what_it_says() {
        let marker = Marker::new(Extent::Members, &Actor::System, [id(7), id(3), id(5), id(3)]);
        let read = Marker::decode(b"k", &marker.encode().into()).unwrap();
        let kept = |marker: &Marker| (0..10).filter(|n| marker.keeps(id(*n))).collect::<Vec<_>>();
        assert_eq!(kept(&read), [0, 3, 5, 7]);
        assert_eq!(read.actor(), Actor::System);
        let cleared = read.cleared_up_to(id(4));
        assert_eq!(kept(&cleared), [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(cleared.kept().count(), 2);
        let all = Marker::new(Extent::All, &Actor::System, []);
        assert!(kept(&all).is_empty());
        for length in 0..marker.encode().len() {
            let cut = Bytes::from(marker.encode()).slice(..length);
            let whole = Marker::decode(b"k", &cut).is_ok_and(|read| read.actor() == Actor::System);
            assert!(!whole || (marker.encode().len() - length).is_multiple_of(ID), "{length}");
        }
    }
}
