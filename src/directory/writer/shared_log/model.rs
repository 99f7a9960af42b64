//! What directories that share a log are compared with: state in memory, and the sequential model.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use serde_json::Value;

use crate::connection::token::Token;
use crate::directory::membership::Voids;
use crate::event::{Actor, Verb};
use crate::log::{Frame, Position};
use crate::metrics::Histogram;
use crate::scim::resource::ResourceId;
use crate::store::keys::{self, Kind};
use crate::store::maintenance::Maintenance;
use crate::store::stats::StoreStats;
use crate::store::{Read, Store, StoreError, record};

/// Which frames the log must have by a command, as far as its answer says: how many of each verb, and the
/// subject of each where it is known.
pub(super) type Expected = Vec<(Verb, Option<String>)>;

/// State in memory that follows a log.
#[derive(Default)]
pub(super) struct MemoryStore {
    pub(super) keys: RwLock<BTreeMap<Vec<u8>, Bytes>>,
    applied: Mutex<Position>,
}

impl Read for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.keys.read().unwrap().get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let keys = self.keys.read().unwrap().clone();
        let mut found = keys.range::<[u8], _>((start, Bound::Unbounded));
        let found = found.by_ref().take_while(|(key, _)| key.starts_with(prefix));
        for (key, value) in found {
            if visit(key, value.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn applied(&self) -> Position {
        *self.applied.lock().unwrap()
    }

    fn apply(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        let mut applied = self.applied.lock().unwrap();
        let mut keys = self.keys.write().unwrap();
        for frame in frames {
            assert_eq!((frame.sequence, frame.previous), (applied.sequence + 1, applied.hash));
            carry_out(&mut keys, frame);
            *applied = frame.position();
        }
        Ok(())
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            journal_sequence: self.applied().sequence,
            journal_bytes: None,
            database_bytes: 0,
            held_bytes: 0,
            free_bytes: None,
            snapshot: None,
            syncs: Histogram::new(&[1]).counts(),
        }
    }

    fn warm_up(&self) -> bool {
        false
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        None
    }
}

fn carry_out(keys: &mut BTreeMap<Vec<u8>, Bytes>, frame: &Frame) {
    for write in &frame.writes {
        match &write.value {
            Some(value) => drop(keys.insert(write.key.clone(), value.clone())),
            None => drop(keys.remove(&write.key)),
        }
    }
}

/// The sequential model: state after each frame, with the rules that hold at every frame.
#[derive(Default)]
pub(super) struct Model {
    pub(super) keys: BTreeMap<Vec<u8>, Bytes>,
    /// What each actor did.
    pub(super) by_actor: BTreeMap<String, Expected>,
}

impl Model {
    pub(super) fn apply(&mut self, frame: &Frame) {
        for write in &frame.writes {
            let before = self.keys.get(&write.key);
            match (keys::kind(&write.key).expect("a known key"), &write.value) {
                (Kind::Unique(_), Some(holder)) => {
                    let taken = before.is_some_and(|before| before != holder);
                    let released = frame
                        .writes
                        .iter()
                        .any(|other| other.key == write.key && other.value.is_none());
                    assert!(
                        !taken || released,
                        "a name is given twice by change {}",
                        frame.sequence
                    );
                }
                (Kind::Record(..), Some(value)) => {
                    let version = |value: &Bytes| record::decode(value).unwrap().version.0;
                    let next = before.map_or(1, |before| version(before) + 1);
                    assert_eq!(version(value), next, "a lost update, change {}", frame.sequence);
                }
                (Kind::Record(..) | Kind::Token, None) => {
                    assert!(before.is_some(), "removed twice, change {}", frame.sequence);
                }
                _ => {}
            }
        }
        carry_out(&mut self.keys, frame);
        self.check(frame.sequence);
        // What clearing does is the rest of an earlier command.
        if frame.head.event.verb != Verb::Cleared
            && let Actor::Operator { name: Some(name), .. } = &frame.head.actor
        {
            let event = &frame.head.event;
            let did = self.by_actor.entry(name.clone()).or_default();
            did.push((event.verb, Some(event.subject.clone())));
        }
    }

    /// Counts are right, memberships stand at both ends and lead in no circle.
    fn check(&self, sequence: u64) {
        let mut records: BTreeMap<u8, u64> = BTreeMap::new();
        let mut counts: BTreeMap<u8, u64> = BTreeMap::new();
        let mut below: BTreeMap<ResourceId, Vec<ResourceId>> = BTreeMap::new();
        let mut voids = Voids::default();
        for (key, value) in self.keys.iter().filter(|(key, _)| key.starts_with(&keys::VOIDS)) {
            voids.note(key, value).unwrap();
        }
        for (key, value) in &self.keys {
            match keys::kind(key).unwrap() {
                Kind::Record(tag, _) => *records.entry(tag).or_default() += 1,
                Kind::Count(tag) => {
                    counts.insert(tag, u64::from_le_bytes(value.as_ref().try_into().unwrap()));
                }
                Kind::Member(group, member) => {
                    let other_end = keys::membership(member, group);
                    assert!(self.keys.contains_key(&other_end), "one end, change {sequence}");
                    if !voids.contain(group, member, value) {
                        below.entry(group).or_default().push(member);
                    }
                }
                Kind::Membership(member, group) => {
                    let other_end = keys::member(group, member);
                    assert!(self.keys.contains_key(&other_end), "one end, change {sequence}");
                }
                _ => {}
            }
        }
        counts.retain(|_, count| *count > 0);
        assert_eq!(counts, records, "counts, change {sequence}");
        for &group in below.keys() {
            let (mut waiting, mut seen) = (below[&group].clone(), BTreeSet::new());
            while let Some(next) = waiting.pop() {
                assert_ne!(next, group, "a cycle, change {sequence}");
                if seen.insert(next) {
                    waiting.extend(below.get(&next).into_iter().flatten());
                }
            }
        }
    }

    pub(super) fn tokens(&self) -> BTreeMap<String, Value> {
        let tokens = self.keys.iter().filter(|(key, _)| keys::kind(key) == Some(Kind::Token));
        let token = |value: &Bytes| serde_json::from_slice::<Token>(value).unwrap();
        tokens.map(|(_, value)| shown(&token(value))).collect()
    }
}

/// A token, to be compared.
pub(super) fn shown(token: &Token) -> (String, Value) {
    (token.id.clone(), serde_json::to_value(token).unwrap())
}
