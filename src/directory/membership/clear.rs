//! Clearing: what a change with very many memberships left to be done, in bounded commands.
//!
//! The writer runs them when no client waits, and now and then while clients do. Each is a change of the
//! actor who left it to be done. Markers are state, so clearing goes on after a restart.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::change::{bump_version, link, unlink};
use crate::directory::membership::read::find_any;
use crate::directory::membership::void::{Extent, Marker, Rename, Voids};
use crate::directory::stored;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Actor, Event, Verb};
use crate::scim::resource::ResourceId;
use crate::store::{Read, StoreError, keys};

/// How many memberships one command clears. Unit tests have few members, and want several commands.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 2_000 };
/// How many bytes one command writes, about: groups that get a new version may be large.
const BYTES_AT_ONCE: usize = 1024 * 1024;
/// How long one command runs, about.
const TIME_AT_ONCE: Duration = Duration::from_millis(30);

/// A bounded part of what is to be cleared.
pub(crate) enum Clear {
    /// Deletes memberships that a marker voids.
    Void(ResourceId),
    /// Shows a member under its new name.
    Renamed(ResourceId),
}

impl Clear {
    /// What is to be done next, and whose change it is; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn next(state: &dyn Read) -> Result<Option<(Actor, Self)>, StoreError> {
        let mut next = Ok(None);
        state.scan(&keys::PENDING, None, &mut |key, value| {
            let Some(id) = keys::trailing_id(key) else { return ControlFlow::Continue(()) };
            next = match key.starts_with(&keys::VOIDS) {
                true => Marker::decode(key, &value).map(|one| Some((one.actor(), Self::Void(id)))),
                false => {
                    Rename::decode(key, &value).map(|one| Some((one.actor, Self::Renamed(id))))
                }
            };
            ControlFlow::Break(())
        })?;
        next
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
        let (id, marker) = match *self {
            Self::Void(id) => (id, keys::void(id)),
            Self::Renamed(id) => (id, keys::renamed(id)),
        };
        if tx.get(&marker)?.is_none() {
            return Ok(());
        }
        match *self {
            Self::Void(id) => void(tx, id)?,
            Self::Renamed(id) => renamed(tx, id)?,
        }
        let (kind, subject) = ("membership".to_owned(), id.to_string());
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

/// The trailing ids of at most `count` keys after `after`.
fn some(
    tx: &Transaction<'_>,
    prefix: &[u8],
    after: Option<&[u8]>,
    count: usize,
) -> Result<Vec<ResourceId>, StoreError> {
    let mut ids = Vec::new();
    tx.scan(prefix, after, &mut |key, _| {
        ids.extend(keys::trailing_id(key));
        if ids.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(ids)
}

/// Deletes a part of the memberships that the marker of a resource voids; with the last of them the marker.
fn void(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    let mut voids = Voids::load(tx)?;
    let Some(marker) = voids.remove(id) else { return Ok(()) };
    let mut part = Part::new();
    let after = keys::member(id, marker.cursor);
    let mut cursor = marker.cursor;
    for member in some(tx, &keys::members(id), Some(&after), AT_ONCE)? {
        if !part.take(tx) {
            break;
        }
        if !marker.keeps(member) {
            unlink(tx, id, member);
        }
        cursor = member;
    }
    let behind = keys::member(id, cursor);
    let more = !some(tx, &keys::members(id), Some(&behind), 1)?.is_empty();
    if more && marker.extent == Extent::Members {
        tx.put(keys::void(id), marker.cleared_up_to(cursor).encode());
    }
    if more {
        return Ok(());
    }
    if marker.extent == Extent::All {
        for group in some(tx, &keys::memberships(id), None, AT_ONCE)? {
            if !part.take(tx) {
                return Ok(());
            }
            unlink(tx, group, id);
            // A membership that was void before has changed the group's version then.
            if !voids.contain(group, id) {
                bump_version(tx, group)?;
            }
        }
        if !some(tx, &keys::memberships(id), None, 1)?.is_empty() {
            return Ok(());
        }
    }
    tx.delete(keys::void(id));
    Ok(())
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
    for group in groups {
        if !part.take(tx) {
            tx.put(key, marker.encode());
            return Ok(());
        }
        if !voids.contain(group, id) {
            link(tx, group, id, &member_type, display);
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
