//! What became of users, groups and memberships since a moment, as the journal has it.
//!
//! The journal says how a key was after each change, not how it was before: it is read once to learn
//! which keys were changed, then up to the moment to learn what they were, then again for who changed
//! what. What is in memory is the keys that were changed, with two values each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::{Actor, Verb};
use crate::log::ReadLog;
use crate::store::keys::{self, Kind};
use crate::store::point_in_time::PointInTime;
use crate::store::{StoreError, record};

/// What became of a key.
#[derive(Default)]
pub(super) struct Item {
    /// Its value at the moment.
    pub(super) was: Option<Bytes>,
    /// Its value after the last change that was read.
    pub(super) is: Option<Bytes>,
    /// Who changed what is in it, by their places in [`ChangedItems::actors`].
    by: Vec<usize>,
    /// The highest version that a record had.
    pub(super) version: u64,
    /// When it first said what it says now, since the moment: undoing what came later changes nothing.
    pub(super) reached: Timestamp,
    /// All that it said, at the moment and since.
    prints: Vec<Print>,
}

/// Something that an item said.
#[derive(Clone, Copy)]
struct Print {
    checksum: u32,
    /// When it first said so.
    time: Timestamp,
    /// How many had changed what was in it by then: the first of [`Item::by`].
    by: usize,
}

/// What became of the directory since a moment.
pub(super) struct ChangedItems {
    /// The last change before the moment.
    pub(super) before: u64,
    /// The last change that was read.
    pub(super) upto: u64,
    /// The records of users and groups that were written, by key.
    pub(super) records: BTreeMap<Vec<u8>, Item>,
    /// The ties from groups to members that were written, by key.
    pub(super) ties: BTreeMap<Vec<u8>, Item>,
    /// The names of the catalogue at the moment, if they were other ones.
    pub(super) names: Option<Bytes>,
    actors: Vec<String>,
}

impl ChangedItems {
    /// Reads what became of the directory since a moment. Nobody has to wait for it.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if what was then is not known any more.
    pub(super) fn read(
        log: &dyn ReadLog,
        past: &dyn PointInTime,
        since: Timestamp,
    ) -> Result<Self, StoreError> {
        let before = past.last_before(since)?;
        let mut trail = Self {
            before,
            upto: before,
            records: BTreeMap::new(),
            ties: BTreeMap::new(),
            names: None,
            actors: Vec::new(),
        };
        let mut catalogue = false;
        log.read(before, &mut |frame| {
            trail.upto = frame.sequence;
            for write in &frame.writes {
                catalogue |= write.key == keys::CATALOGUE;
                if let Some(items) = trail.items(&write.key) {
                    items.entry(write.key.clone()).or_default();
                }
            }
            ControlFlow::Continue(())
        })?;
        let wanted = |key: &[u8]| {
            trail.records.contains_key(key)
                || trail.ties.contains_key(key)
                || (catalogue && key == keys::CATALOGUE)
        };
        for (key, value) in past.past(before, &wanted)? {
            if key == keys::CATALOGUE {
                trail.names = Some(value);
            } else if let Some(item) = trail.item(&key) {
                item.note_version(Some(&value));
                (item.was, item.is) = (Some(value.clone()), Some(value));
            }
        }
        for (key, item) in trail.records.iter_mut().chain(&mut trail.ties) {
            let checksum = checksum(key, item.was.as_ref());
            item.prints.push(Print { checksum, time: since, by: 0 });
        }
        log.read(before, &mut |frame| {
            if frame.sequence > trail.upto {
                return ControlFlow::Break(());
            }
            let undone = frame.head.event.verb == Verb::Undone;
            let actor = trail.actor(&frame.head.actor);
            for write in &frame.writes {
                if let Some(item) = trail.item(&write.key) {
                    item.note(&write.key, write.value.clone(), actor, undone, frame.head.time);
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(trail)
    }

    fn items(&mut self, key: &[u8]) -> Option<&mut BTreeMap<Vec<u8>, Item>> {
        match keys::kind(key) {
            Some(Kind::Record(..)) => Some(&mut self.records),
            Some(Kind::Member(..)) => Some(&mut self.ties),
            _ => None,
        }
    }

    fn item(&mut self, key: &[u8]) -> Option<&mut Item> {
        self.items(key)?.get_mut(key)
    }

    /// The place of an actor.
    fn actor(&mut self, actor: &Actor) -> usize {
        let name = match actor {
            Actor::Connection { name, .. } => name.as_str(),
            Actor::Operator { .. } => "an operator",
            Actor::System => "scimd itself",
        };
        self.actors.iter().position(|known| known == name).unwrap_or_else(|| {
            self.actors.push(name.to_owned());
            self.actors.len() - 1
        })
    }

    /// Whether a connection changed anything at all.
    pub(super) fn has(&self, connection: &str) -> bool {
        self.actors.iter().any(|name| name == connection)
    }

    /// Who changed what is in an item, but for one.
    pub(super) fn others(&self, item: &Item, connection: &str) -> Vec<String> {
        let names = item.by.iter().filter_map(|&place| self.actors.get(place));
        names.filter(|name| *name != connection).cloned().collect()
    }

    /// Whether a connection changed what is in an item.
    pub(super) fn by(&self, item: &Item, connection: &str) -> bool {
        let mut names = item.by.iter().filter_map(|&place| self.actors.get(place));
        names.any(|name| name == connection)
    }
}

impl Item {
    fn note(
        &mut self,
        key: &[u8],
        value: Option<Bytes>,
        actor: usize,
        undone: bool,
        time: Timestamp,
    ) {
        let changes = if keys::is_record(key) {
            self.note_version(value.as_ref());
            content(self.is.as_ref()) != content(value.as_ref())
        } else {
            self.is.is_some() != value.is_some()
        };
        let checksum = checksum(key, value.as_ref());
        let known = self.prints.iter().find(|known| known.checksum == checksum).copied();
        match known {
            // An undo that puts back what it said before takes those out who came later.
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

    /// Whether a record says what it said, whatever its version.
    pub(super) fn same_content(&self) -> bool {
        content(self.was.as_ref()) == content(self.is.as_ref())
    }
}

/// What tells one thing that an item says from another.
fn checksum(key: &[u8], value: Option<&Bytes>) -> u32 {
    match keys::is_record(key) {
        true => content(value).map_or(0, |(json, _)| crc32c::crc32c(&json)),
        false => u32::from(value.is_some()),
    }
}

/// What a record says, less `meta`, and who manages it.
fn content(value: Option<&Bytes>) -> Option<(Bytes, Option<String>)> {
    let record = record::decode(value?)?;
    let manager = record.manager().map(ToOwned::to_owned);
    Some((record.json.slice(..record.meta_at.min(record.json.len())), manager))
}
