//! The changes of users, groups and memberships since a moment, read from the log.
//!
//! The log holds the value of a key after each change, not before it. It is read once to learn which keys
//! were changed, then up to the moment to learn their values at that time, then again to learn which actor
//! changed what. Memory holds the changed keys with two values each, up to a limit.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::directory::membership::{Extent, Marker, Voids};
use crate::event::{Actor, Verb};
use crate::log::{ReadLog, Write, try_read};
use crate::scim::resource::ResourceId;
use crate::store::keys::{self, Kind};
use crate::store::point_in_time::PointInTime;
use crate::store::{StoreError, record};

/// The most bytes that the changed keys may take in memory, with their values. What one undo may write is much less.
const MAX_HELD: usize = if cfg!(test) { 1024 * 1024 } else { 256 * 1024 * 1024 };
/// About how many bytes a changed key takes besides its own bytes and those of its values.
const ITEM_BYTES: usize = size_of::<ChangedItem>() + 64;

/// The name of operators as actors.
pub(super) const BY_OPERATOR: &str = "an operator";

/// A changed key.
#[derive(Default)]
pub(super) struct ChangedItem {
    /// Its value at the moment.
    pub(super) was: Option<Bytes>,
    /// Its value after the last change that was read.
    pub(super) is: Option<Bytes>,
    /// Its value at the end of the changes to undo, if it was written again later.
    at_end: Option<Option<Bytes>>,
    /// The actors that changed its content, as indexes into [`ChangedItems::actors`].
    by: Vec<usize>,
    /// The highest version that a record had.
    pub(super) version: u64,
    /// When it first had its present content since the moment: undoing later changes alone has no effect.
    pub(super) reached: Timestamp,
    /// Every content that it had, at the moment and since.
    prints: Vec<Print>,
}

/// A content that an item had.
#[derive(Clone, Copy)]
struct Print {
    checksum: u32,
    /// When it first had that content.
    time: Timestamp,
    /// The number of actors that had changed it by then: the first of [`ChangedItem::by`].
    by: usize,
}

/// The change that an item is noted for.
#[derive(Clone, Copy)]
struct Change {
    actor: usize,
    /// Whether it was an undo.
    undone: bool,
    time: Timestamp,
    /// Whether it came after the end of the changes to undo.
    is_later: bool,
}

/// The keys of memberships by member, for the resources that had a marker.
type ByMember = HashMap<ResourceId, Vec<Vec<u8>>>;

/// The changes of the directory since a moment.
pub(super) struct ChangedItems {
    /// The last change before the moment.
    pub(super) before: u64,
    /// The last change that was read.
    pub(super) upto: u64,
    /// The records of users and groups that were written, by key.
    pub(super) records: BTreeMap<Vec<u8>, ChangedItem>,
    /// The memberships that were written, by the key from the group to the member.
    pub(super) memberships: BTreeMap<Vec<u8>, ChangedItem>,
    /// The names of the catalogue at the moment, if they differed from the present ones.
    pub(super) names: Option<Bytes>,
    actors: Vec<String>,
    /// About how many bytes the items take.
    held: usize,
}

impl ChangedItems {
    /// Reads the changes since a moment, while the writer goes on. `until` is the end of those to undo.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if the log and the snapshots do not reach back that far, or if so much was changed that
    /// memory can't hold it.
    pub(super) fn read(
        log: &dyn ReadLog,
        past: &dyn PointInTime,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<Self, StoreError> {
        let before = past.last_before(since)?;
        let end = until.map(|until| past.last_before(until)).transpose()?;
        let mut changed = Self {
            before,
            upto: before,
            records: BTreeMap::new(),
            memberships: BTreeMap::new(),
            names: None,
            actors: Vec::new(),
            held: 0,
        };
        let mut catalogue = false;
        let mut by_member = ByMember::new();
        try_read(log, before, |frame| {
            changed.upto = frame.sequence;
            for write in &frame.writes {
                catalogue |= write.key == keys::CATALOGUE;
                if let Some(Kind::Void(id)) = keys::kind(&write.key) {
                    by_member.entry(id).or_default();
                }
                if let Some(items) = changed.items(&write.key)
                    && !items.contains_key(&write.key)
                {
                    items.insert(write.key.clone(), ChangedItem::default());
                    changed.hold(write.key.len() + ITEM_BYTES, 0)?;
                }
            }
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
        let wanted = |key: &[u8]| {
            changed.records.contains_key(key)
                || changed.memberships.contains_key(key)
                || (catalogue && key == keys::CATALOGUE)
                || key.starts_with(&keys::VOIDS)
        };
        let mut voids = Voids::default();
        let values = past.past(before, &wanted, MAX_HELD.saturating_sub(changed.held));
        for (key, value) in values?.ok_or_else(|| too_much(before))? {
            changed.hold(value.len(), 0)?;
            if key == keys::CATALOGUE {
                changed.names = Some(value);
            } else if key.starts_with(&keys::VOIDS) {
                voids.note(&key, &value)?;
            } else if let Some(item) = changed.item(&key) {
                item.note_version(Some(&value));
                (item.was, item.is) = (Some(value.clone()), Some(value));
            }
        }
        // A membership that was void at the moment did not count: only its keys were still there.
        for (key, item) in &mut changed.memberships {
            if let Some(Kind::Member(group, member)) = keys::kind(key)
                && item.was.as_ref().is_some_and(|value| voids.contain(group, member, value))
            {
                (item.was, item.is) = (None, None);
            }
        }
        for key in changed.memberships.keys() {
            if let Some(keys) = keys::trailing_id(key).and_then(|id| by_member.get_mut(&id)) {
                keys.push(key.clone());
            }
        }
        for (key, item) in changed.records.iter_mut().chain(&mut changed.memberships) {
            let checksum = checksum(key, item.was.as_ref());
            item.prints.push(Print { checksum, time: since, by: 0 });
        }
        try_read(log, before, |frame| {
            if frame.sequence > changed.upto {
                return Ok(ControlFlow::Break(()));
            }
            let undone = frame.head.event.verb == Verb::Undone;
            let change = Change {
                actor: changed.actor(&frame.head.actor),
                undone,
                time: frame.head.time,
                is_later: end.is_some_and(|end| frame.sequence > end),
            };
            for Write { key, value } in &frame.writes {
                let Some(item) = changed.item(key) else { continue };
                let bytes = item.bytes();
                item.note(key, value.clone(), change);
                let more = item.bytes();
                changed.hold(more, bytes)?;
            }
            // Last, because a marker also voids memberships that the same change had added before.
            for Write { key, value } in &frame.writes {
                if let (Some(Kind::Void(id)), Some(value)) = (keys::kind(key), value) {
                    changed.note_void(id, &Marker::decode(key, value)?, &by_member, change);
                }
            }
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
        Ok(changed)
    }

    /// Counts bytes that an item takes, and those that it took before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] beyond [`MAX_HELD`].
    fn hold(&mut self, now: usize, before: usize) -> Result<(), StoreError> {
        self.held = (self.held + now).saturating_sub(before);
        if self.held > MAX_HELD { Err(too_much(self.before)) } else { Ok(()) }
    }

    fn items(&mut self, key: &[u8]) -> Option<&mut BTreeMap<Vec<u8>, ChangedItem>> {
        match keys::kind(key) {
            Some(Kind::Record(..)) => Some(&mut self.records),
            Some(Kind::Member(..)) => Some(&mut self.memberships),
            _ => None,
        }
    }

    fn item(&mut self, key: &[u8]) -> Option<&mut ChangedItem> {
        self.items(key)?.get_mut(key)
    }

    /// Notes that memberships became void: from there on they do not count, whenever their keys are deleted.
    fn note_void(&mut self, id: ResourceId, marker: &Marker, by_member: &ByMember, change: Change) {
        let members = keys::members(id);
        let of_group = self.memberships.range_mut(members.clone()..);
        for (key, item) in of_group.take_while(|(key, _)| key.starts_with(&members)) {
            let Some(member) = keys::trailing_id(key) else { continue };
            if item.is.as_ref().is_some_and(|value| marker.voids(member, value)) {
                item.note(key, None, change);
            }
        }
        let as_member = by_member.get(&id).filter(|_| marker.extent == Extent::All);
        for key in as_member.into_iter().flatten() {
            if let Some(item) = self.memberships.get_mut(key).filter(|item| item.is.is_some()) {
                item.note(key, None, change);
            }
        }
    }

    /// The index of an actor.
    fn actor(&mut self, actor: &Actor) -> usize {
        let name = match actor {
            Actor::Connection { name, .. } => name.as_str(),
            Actor::Operator { .. } => BY_OPERATOR,
            Actor::System => "scimd itself",
        };
        self.actors.iter().position(|known| known == name).unwrap_or_else(|| {
            self.actors.push(name.to_owned());
            self.actors.len() - 1
        })
    }

    /// Whether a connection changed anything.
    pub(super) fn has(&self, connection: &str) -> bool {
        self.actors.iter().any(|name| name == connection)
    }

    /// The other actors that changed the content of an item.
    pub(super) fn others(&self, item: &ChangedItem, connection: &str) -> Vec<String> {
        let names = item.by.iter().filter_map(|&place| self.actors.get(place));
        names.filter(|name| *name != connection).cloned().collect()
    }

    /// Whether a connection changed the content of an item.
    pub(super) fn by(&self, item: &ChangedItem, connection: &str) -> bool {
        let mut names = item.by.iter().filter_map(|&place| self.actors.get(place));
        names.any(|name| name == connection)
    }
}

/// The error that too much was changed since a change.
fn too_much(before: u64) -> StoreError {
    StoreError::Folder(format!(
        "reverting the changes after {before} needs more than {} MiB of memory; undo a part first, with a later \
         --since, or restore a backup",
        MAX_HELD / (1024 * 1024)
    ))
}

impl ChangedItem {
    /// About how many bytes its values and their traces take.
    fn bytes(&self) -> usize {
        let value = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        // At the moment both are one value.
        let at_end = self.at_end.as_ref().map_or(0, value);
        let values = value(&self.was) + value(&self.is) + at_end;
        values + self.prints.len() * size_of::<Print>() + self.by.len() * size_of::<usize>()
    }

    fn note(&mut self, key: &[u8], value: Option<Bytes>, change: Change) {
        let Change { actor, undone, time, is_later } = change;
        if is_later && self.at_end.is_none() {
            self.at_end = Some(self.is.clone());
        }
        let changes = if keys::is_record(key) {
            self.note_version(value.as_ref());
            content(self.is.as_ref()) != content(value.as_ref())
        } else {
            self.is.is_some() != value.is_some()
        };
        let checksum = checksum(key, value.as_ref());
        let known = self.prints.iter().find(|known| known.checksum == checksum).copied();
        match known {
            // An undo that restores an earlier content removes the actors that came after it.
            Some(known) if undone => self.by.truncate(known.by),
            _ if changes && !self.by.contains(&actor) => self.by.push(actor),
            _ => {}
        }
        self.reached = known.map_or(time, |known| known.time);
        if known.is_none() {
            self.prints.push(Print { checksum, time, by: self.by.len() });
        }
        self.is = value;
    }

    fn note_version(&mut self, value: Option<&Bytes>) {
        if let Some(record) = value.and_then(record::decode) {
            self.version = self.version.max(record.version.0);
        }
    }

    /// Whether a record has the same content as at the moment, whatever its version.
    pub(super) fn same_content(&self) -> bool {
        content(self.was.as_ref()) == content(self.is.as_ref())
    }

    /// Its value at the end of the changes to undo.
    fn at_end(&self) -> Option<&Bytes> {
        self.at_end.as_ref().unwrap_or(&self.is).as_ref()
    }

    /// Whether a record was changed by the changes to undo.
    pub(super) fn is_changed(&self) -> bool {
        content(self.was.as_ref()) != content(self.at_end())
    }

    /// Whether a record was changed again after the changes to undo.
    pub(super) fn is_changed_later(&self) -> bool {
        content(self.at_end()) != content(self.is.as_ref())
    }

    /// Whether a membership was added or removed by the changes to undo, and not again later.
    pub(super) fn is_membership_changed(&self) -> bool {
        self.was.is_some() != self.at_end().is_some()
    }

    /// Whether a membership was added or removed again after the changes to undo.
    pub(super) fn is_membership_changed_later(&self) -> bool {
        self.at_end().is_some() != self.is.is_some()
    }
}

/// A checksum that distinguishes the contents of an item.
fn checksum(key: &[u8], value: Option<&Bytes>) -> u32 {
    match keys::is_record(key) {
        true => content(value).map_or(0, |(json, _)| crc32c::crc32c(&json)),
        false => u32::from(value.is_some()),
    }
}

/// The content of a record: its JSON without `meta`, and the connection that manages it.
fn content(value: Option<&Bytes>) -> Option<(Bytes, Option<String>)> {
    let record = record::decode(value?)?;
    let manager = record.manager().map(ToOwned::to_owned);
    Some((record.json.slice(..record.meta_at.min(record.json.len())), manager))
}
