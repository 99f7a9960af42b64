//! Snapshots against changes that go on, and against damage.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::log::local::LocalLog;
use crate::log::{Append, Log as _, LogEntry, ReadLog as _, Write};
use crate::store::{Read, StoreError};

type Keys = BTreeMap<Vec<u8>, Bytes>;

/// State in memory, with a journal, that changes while it is scanned.
struct Moving {
    keys: Mutex<Keys>,
    log: LocalLog,
    /// What is changed before the scan comes to a key.
    script: Vec<(&'static str, Vec<Write>)>,
}

fn put(key: &str, value: &str) -> Write {
    Write { key: key.into(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

fn remove(key: &str) -> Write {
    Write { key: key.into(), value: None }
}

impl Moving {
    fn change(&self, writes: &[Write]) {
        let event = Event { kind: "user".to_owned(), verb: Verb::Created, subject: String::new() };
        let (time, details) = (Timestamp::UNIX_EPOCH, Details::default());
        let head = Head { time, actor: Actor::System, event, details };
        let entry = LogEntry { head, writes: writes.to_vec() };
        let appended = self.log.append(vec![entry], self.log.head()).unwrap();
        assert!(matches!(appended, Append::Done(_)));
        carry_out(&mut self.keys.lock().unwrap(), writes.to_vec());
    }
}

fn carry_out(keys: &mut Keys, writes: Vec<Write>) {
    for Write { key, value } in writes {
        match value {
            Some(value) => drop(keys.insert(key, value)),
            None => drop(keys.remove(&key)),
        }
    }
}

impl Read for Moving {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.keys.lock().unwrap().get(key).cloned())
    }

    fn scan(
        &self,
        _: &[u8],
        _: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut at = Vec::new();
        loop {
            let next =
                self.keys.lock().unwrap().range(at.clone()..).next().map(|(key, _)| key.clone());
            let Some(key) = next else { return Ok(()) };
            for (_, writes) in self.script.iter().filter(|(before, _)| before.as_bytes() == key) {
                self.change(writes);
            }
            if let Some(value) = self.get(&key)?
                && visit(&key, value).is_break()
            {
                return Ok(());
            }
            at = [&key, &[0][..]].concat();
        }
    }
}

fn state(folder: &tempfile::TempDir, script: Vec<(&'static str, Vec<Write>)>) -> Moving {
    let journal = LocalLog::open(&folder.path().join("journal"), [7; 16], &[]).unwrap();
    let state = Moving { keys: Mutex::default(), log: journal, script };
    for key in ["a", "b", "c", "d", "e"] {
        state.change(&[put(key, "old")]);
    }
    state
}

fn taken(state: &Moving, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("s.snapshot");
    let now = Timestamp::UNIX_EPOCH;
    take(state, &state.log, state.log.head().sequence, now, &path).unwrap();
    path
}

fn keys(path: &std::path::Path) -> Keys {
    let mut keys = Keys::new();
    load(path, |writes| {
        carry_out(&mut keys, writes);
        Ok(())
    })
    .unwrap();
    keys
}

#[test]
fn a_snapshot_holds_the_state_of_one_change_whatever_happens_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let script = vec![
        ("b", vec![put("a", "new"), put("d", "new"), put("aa", "new")]),
        ("c", vec![remove("b"), remove("e"), put("d", "newer"), put("f", "new")]),
        ("d", vec![put("b", "again"), remove("aa"), put("bb", "new")]),
    ];
    let state = state(&folder, script);
    let path = taken(&state, &folder);
    assert_eq!(keys(&path), *state.keys.lock().unwrap());
    let snapshot = outline(&path).unwrap();
    assert_eq!(snapshot.position, state.log.head());
    assert_eq!(snapshot.position.sequence, 8);
    assert_eq!((snapshot.identity, snapshot.taken), ([7; 16], Timestamp::UNIX_EPOCH));
    let whole = load(&path, |_| Ok(())).unwrap();
    assert_eq!((whole.snapshot, whole.bytes), (snapshot, fs::metadata(&path).unwrap().len()));
}

#[test]
fn every_flipped_bit_every_cut_and_every_byte_more_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = taken(&state(&folder, Vec::new()), &folder);
    let whole = fs::read(&path).unwrap();
    let damaged = folder.path().join("damaged.snapshot");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&damaged, bytes).unwrap();
        let error = load(&damaged, |_| Ok(())).expect_err(what);
        assert!(matches!(error, StoreError::Snapshot { .. }), "{what}: {error}");
    };
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        refused(&bytes, &format!("bit {bit}"));
    }
    for length in 0..whole.len() {
        refused(&whole[..length], &format!("length {length}"));
    }
    refused(&[&whole[..], &[0]].concat(), "a byte more");
    refused(&[&whole[..], &whole].concat(), "twice");
    fs::write(&damaged, &whole).unwrap();
    load(&damaged, |_| Ok(())).unwrap();
}

#[test]
fn a_damaged_record_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let state = state(&folder, Vec::new());
    state.change(&[put("r\u{1}0123456789abcdef", "no record")]);
    let path = folder.path().join("s.snapshot");
    let error = take(&state, &state.log, 0, Timestamp::UNIX_EPOCH, &path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(!path.exists());
}
