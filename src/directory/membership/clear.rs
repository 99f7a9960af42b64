//! Clearing: what a change with very many memberships left to be done, in bounded commands.
//!
//! The writer runs them when no client waits, and now and then while clients do. Each is a change of the
//! actor who left it to be done. Markers are state, so clearing goes on after a restart.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::change::{link, unlink};
use crate::directory::membership::follow::bump_version;
use crate::directory::membership::read::find_any;
use crate::directory::membership::void::{Extent, Marker, Rename, Voids};
use crate::directory::stored;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Actor, Event, Verb};
use crate::scim::resource::ResourceId;
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// How many memberships one command clears. Unit tests have few members, and want several commands.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 2_000 };
/// How many bytes one command writes, about: groups that get a new version may be large.
const BYTES_AT_ONCE: usize = 1024 * 1024;
/// How long one command runs, about.
const TIME_AT_ONCE: Duration = Duration::from_millis(30);

/// A bounded part of what is to be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clear {
    /// Deletes memberships that a marker voids.
    Void(ResourceId),
    /// Shows a member under its new name.
    Renamed(ResourceId),
}

impl Clear {
    /// What is to be done next, except for these; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn next(
        state: &dyn Read,
        except: &BTreeSet<Self>,
    ) -> Result<Option<Self>, StoreError> {
        let mut next = None;
        state.scan(&keys::PENDING, None, &mut |key, _| {
            next = match keys::kind(key) {
                Some(Kind::Void(id)) => Some(Self::Void(id)),
                Some(Kind::Renamed(id)) => Some(Self::Renamed(id)),
                _ => None,
            };
            next = next.filter(|next| !except.contains(next));
            if next.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(next)
    }

    /// Whose change it is: that of the actor who left it to be done.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if the marker is damaged.
    pub(crate) fn actor(self, state: &dyn Read) -> Result<Actor, StoreError> {
        let key = self.marker();
        let Some(value) = state.get(&key)? else { return Ok(Actor::System) };
        match self {
            Self::Void(_) => Marker::decode(&key, &value).map(|marker| marker.actor()),
            Self::Renamed(_) => Rename::decode(&key, &value).map(|marker| marker.actor),
        }
    }

    /// The resource whose memberships are cleared.
    pub(crate) fn resource(self) -> ResourceId {
        match self {
            Self::Void(id) | Self::Renamed(id) => id,
        }
    }

    fn marker(self) -> Vec<u8> {
        match self {
            Self::Void(id) => keys::void(id),
            Self::Renamed(id) => keys::renamed(id),
        }
    }
}

impl Command for Clear {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;
    const IS_CLEANUP: bool = true;

    /// # Errors
    ///
    /// `Storage`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        // Another writer of the log may have cleared it meanwhile.
        if tx.get(&self.marker())?.is_none() {
            return Ok(());
        }
        match *self {
            Self::Void(id) => void(tx, id)?,
            Self::Renamed(id) => renamed(tx, id)?,
        }
        let (kind, subject) = ("membership".to_owned(), self.resource().to_string());
        tx.record(Event { kind, verb: Verb::Cleared, subject });
        Ok(())
    }
}

/// How much a command may still do.
struct Part {
    left: usize,
    since: Stopwatch,
}

impl Part {
    fn new() -> Self {
        Self { left: AT_ONCE, since: Stopwatch::start() }
    }

    /// Whether there is room for one more membership.
    fn take(&mut self, tx: &Transaction<'_>) -> bool {
        let room = self.left > 0
            && tx.bytes_within(BYTES_AT_ONCE)
            && (self.left == AT_ONCE || self.since.elapsed() < TIME_AT_ONCE);
        self.left = self.left.saturating_sub(1);
        room
    }
}

/// At most `count` keys after `after`: their trailing ids, and their values.
fn some(
    tx: &Transaction<'_>,
    prefix: &[u8],
    after: Option<&[u8]>,
    count: usize,
) -> Result<Vec<(ResourceId, Bytes)>, StoreError> {
    let mut found = Vec::new();
    tx.scan(prefix, after, &mut |key, value| {
        found.extend(keys::trailing_id(key).map(|id| (id, value)));
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// Deletes a part of the memberships that the marker of a resource voids; with the last of them the marker.
fn void(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    let mut voids = Voids::load(tx)?;
    let Some(marker) = voids.remove(id) else { return Ok(()) };
    let mut part = Part::new();
    if !void_members(tx, id, &marker, &mut part)?
        || (marker.extent == Extent::All && !void_groups(tx, id, &voids, &mut part)?)
    {
        return Ok(());
    }
    tx.delete(keys::void(id));
    tx.delete(keys::cleared(id));
    Ok(())
}

/// Deletes a part of the void memberships of a group; whether none is left.
fn void_members(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    marker: &Marker,
    part: &mut Part,
) -> Result<bool, DirectoryError> {
    let key = keys::cleared(group);
    let cursor = match tx.get(&key)? {
        Some(cursor) => keys::trailing_id(&cursor).ok_or_else(|| StoreError::damaged(&key))?,
        None => ResourceId::from_bytes([0; 16]),
    };
    let members: Vec<(ResourceId, Option<Bytes>)> = match marker.extent {
        Extent::Only => {
            let listed = marker.listed_after(cursor).take(AT_ONCE);
            let value = |member| tx.get(&keys::member(group, member));
            listed.map(|member| Ok((member, value(member)?))).collect::<Result<_, StoreError>>()?
        }
        Extent::All | Extent::AllBut => {
            let after = keys::member(group, cursor);
            let members = some(tx, &keys::members(group), Some(&after), AT_ONCE)?;
            members.into_iter().map(|(member, value)| (member, Some(value))).collect()
        }
    };
    let mut reached = None;
    let mut whole = members.len() < AT_ONCE;
    for (member, value) in members {
        if !part.take(tx) {
            whole = false;
            break;
        }
        if value.is_some_and(|value| marker.voids(member, &value)) {
            unlink(tx, group, member);
        }
        reached = Some(member);
    }
    if let Some(reached) = reached {
        tx.put(key, Bytes::copy_from_slice(reached.as_bytes()));
    }
    Ok(whole)
}

/// Deletes a part of the memberships of a resource that was deleted, whose groups get a new version; whether
/// none is left.
fn void_groups(
    tx: &mut Transaction<'_>,
    member: ResourceId,
    voids: &Voids,
    part: &mut Part,
) -> Result<bool, DirectoryError> {
    let groups = some(tx, &keys::memberships(member), None, AT_ONCE)?;
    let whole = groups.len() < AT_ONCE;
    for (group, _) in groups {
        if !part.take(tx) {
            return Ok(false);
        }
        // A membership that was void before has changed the group's version then.
        let counted = !voids.contain_stored(tx, group, member)?;
        unlink(tx, group, member);
        if counted {
            bump_version(tx, group)?;
        }
    }
    Ok(whole)
}

/// Shows a member under its present name in a part of its groups, whose versions follow.
fn renamed(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    let key = keys::renamed(id);
    let Some(value) = tx.get(&key)? else { return Ok(()) };
    let mut marker = Rename::decode(&key, &value)?;
    let registry = &tx.settings().registry;
    let Some((member_type, stored)) = find_any(tx, registry, id, |_| true)? else {
        tx.delete(key);
        return Ok(());
    };
    let attributes = stored::attributes(&member_type, &stored)?;
    let display = attributes.display(&member_type).unwrap_or_default();
    let voids = Voids::load(tx)?;
    let mut part = Part::new();
    let after = keys::membership(id, marker.cursor);
    let groups = some(tx, &keys::memberships(id), Some(&after), AT_ONCE)?;
    let whole = groups.len() < AT_ONCE;
    for (group, _) in groups {
        if !part.take(tx) {
            tx.put(key, marker.encode());
            return Ok(());
        }
        if !voids.contain_stored(tx, group, id)? {
            link(tx, group, id, &member_type, display, voids.stamp(group));
            bump_version(tx, group)?;
        }
        marker.cursor = group;
    }
    if whole {
        tx.delete(key);
    } else {
        tx.put(key, marker.encode());
    }
    Ok(())
}
