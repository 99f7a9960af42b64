//! The state: on disk in the database, and partly in memory.
//!
//! Memory is loaded piece by piece, in the order of keys, by the thread that changes the state,
//! between two changes: memory always agrees with the database, and a value is replaced by the
//! thread that allocated it.

use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::behind::Behind;
use super::check::Check;
use super::database::Database;
use super::engine::PART;
use super::memory::{HeldUpTo, Memory, scan_held};
use super::version::{KeptState, StateVersion};
use super::{Read, StoreError, Write, keys};
use crate::clock::Stopwatch;
use crate::log::Frame;

/// How many keys, and bytes, are loaded at once: a change may have to wait for them.
const LOAD_KEYS: usize = 250;
const LOAD_BYTES: usize = 256 * 1024;

/// The state of a store.
pub(super) struct State {
    pub(super) database: Arc<Database>,
    memory: Memory,
    /// The identity of the log that it follows.
    identity: [u8; 16],
    /// What the database lacks while memory holds all.
    behind: Mutex<Behind>,
    /// What the versions keep that are held.
    versions: Mutex<Vec<Weak<KeptState>>>,
    /// Whether a lack of memory has been logged.
    told: AtomicBool,
    opened: Stopwatch,
}

impl State {
    /// Creates the state of a database that follows the log `identity`, of which at most `memory` bytes are held in
    /// memory.
    pub(super) fn new(database: Database, memory: usize, identity: [u8; 16]) -> Self {
        Self {
            database: Arc::new(database),
            memory: Memory::new(memory),
            identity,
            behind: Mutex::default(),
            versions: Mutex::default(),
            told: AtomicBool::new(false),
            opened: Stopwatch::start(),
        }
    }

    /// Takes over the next frames of the log. While memory holds all of the state the database follows later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub(super) fn apply(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        let _turn = self.database.turn();
        let mut behind = self.behind();
        behind.extend(frames);
        match self.memory.upto() {
            HeldUpTo::End if behind.is_full() => self.follow(&mut behind, PART)?,
            HeldUpTo::End => {}
            // The database is read as well: there changes have to come as a whole.
            HeldUpTo::Key(_) => self.follow(&mut behind, usize::MAX)?,
        }
        // What memory gives up is read from the database.
        let give_up = || self.follow(&mut behind, PART);
        if !self.memory.apply_and(frames.iter().flat_map(|frame| &frame.writes), give_up)? {
            self.tell_of_little_room();
        }
        Ok(())
    }

    /// Has the database follow now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub(super) fn catch_up(&self) -> Result<(), StoreError> {
        let _turn = self.database.turn();
        self.follow(&mut self.behind(), PART)
    }

    /// After how long the database has to follow; `None` if it lacks nothing.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.behind().due_in()
    }

    /// Has the database follow in batches of at most `part` writes, while its turn is held.
    fn follow(&self, behind: &mut Behind, part: usize) -> Result<(), StoreError> {
        let Some(last) = behind.frames().last() else { return Ok(()) };
        let writes = behind.frames().iter().flat_map(|frame| &frame.writes);
        self.save_for_versions(&writes)?;
        self.database.engine.apply(writes, part, self.identity, last.sequence)?;
        behind.clear();
        Ok(())
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_of_little_room(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                bytes = self.memory.bytes(),
                "part of the state does not fit in memory and is read more slowly; raise memory_mib in [store] to \
                 hold all of it"
            );
        }
    }

    /// How many bytes of it are in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Loads another piece into memory; whether there may be more to load.
    pub(super) fn load(&self) -> bool {
        if self.memory.is_for_nothing() || self.memory.upto() == HeldUpTo::End {
            return false;
        }
        // On a damaged file sled may panic rather than fail.
        let loaded = catch_unwind(AssertUnwindSafe(|| self.load_piece()));
        match loaded {
            Ok(Ok(true)) if self.memory.upto() == HeldUpTo::End => tracing::info!(
                bytes = self.memory.bytes(),
                ms = self.opened.elapsed().as_millis(),
                "loaded state into memory"
            ),
            Ok(Ok(true)) => return true,
            Ok(Ok(false)) => self.tell_of_little_room(),
            Ok(Err(error)) => tracing::error!(
                %error, "part of the state could not be loaded into memory; run `scimd verify`"
            ),
            // It was logged when it happened.
            Err(_) => {}
        }
        false
    }

    /// Loads the next piece; returns whether it fit.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] or [`StoreError::Damaged`]; what was loaded before is held.
    fn load_piece(&self) -> Result<bool, StoreError> {
        let _turn = self.database.turn();
        let HeldUpTo::Key(mark) = self.memory.upto() else { return Ok(true) };
        let mut entries = Vec::with_capacity(LOAD_KEYS);
        let mut bytes = 0;
        let mut upto = HeldUpTo::End;
        let mut outcome = Ok(());
        let engine = &self.database.engine;
        engine.scan_from(Bound::Included(&mark), &[], &mut |key, value| {
            if entries.len() == LOAD_KEYS || bytes > LOAD_BYTES {
                upto = HeldUpTo::Key(key.into());
                return ControlFlow::Break(());
            }
            match self.database.checked(key, value) {
                Ok(value) if keys::is_position(key) => drop(value),
                Ok(value) => {
                    bytes += key.len() + value.len();
                    entries.push((Bytes::copy_from_slice(key), value));
                }
                Err(error) => {
                    outcome = Err(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        outcome?;
        Ok(self.memory.extend(&entries, upto))
    }

    /// Compares what is in memory with the database.
    pub(super) fn check(&self) -> Check {
        let mut check = Check::new("keys in memory");
        if let Err(error) = self.compare(&mut check) {
            check.error(&error);
        }
        check
    }

    fn compare(&self, check: &mut Check) -> Result<(), StoreError> {
        let engine = &self.database.engine;
        let fault = |key: &[u8], check: &mut Check| {
            let key = HEXLOWER.encode(key);
            check.fault(format!(
                "memory and database differ at key {key}; restart scimd to rebuild the database"
            ));
            self.database.have_rebuilt(&format!("memory and database differ at key {key}"));
        };
        engine.scan(&[], None, &mut |key, value| {
            let held = self.memory.get(key).filter(|_| !keys::is_position(key));
            let Some(held) = held else { return ControlFlow::Continue(()) };
            check.checked += 1;
            if held.as_ref() != Some(&value) && self.differs(key) {
                fault(key, check);
            }
            ControlFlow::Continue(())
        })?;
        self.scan_memory(&[], None, &mut |key, _| {
            if !matches!(engine.get(key), Ok(Some(_))) && self.differs(key) {
                fault(key, check);
            }
            ControlFlow::Continue(())
        });
        Ok(())
    }

    /// Whether memory and database have different values of a key, or the database can't be read or written.
    fn differs(&self, key: &[u8]) -> bool {
        let _turn = self.database.turn();
        if self.follow(&mut self.behind(), PART).is_err() {
            return true;
        }
        match self.database.engine.get(key) {
            Ok(value) => self.memory.get(key).is_some_and(|held| held != value),
            Err(_) => true,
        }
    }

    /// As [`Read::scan`], as far as memory goes; where to go on in the database.
    fn scan_memory(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Option<Bound<Vec<u8>>> {
        scan_held(&|from| self.memory.place(from, prefix), prefix, after, visit)
    }

    /// The state as it is now, for as long as it is held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub(super) fn version(&self) -> Result<StateVersion, StoreError> {
        let _turn = self.database.turn();
        let last = self.behind().frames().last().map(|frame| frame.sequence);
        let sequence = match last {
            Some(sequence) => sequence,
            None => self.database.engine.applied()?.map_or(0, |(_, applied)| applied),
        };
        let kept = Arc::new(KeptState::new(self.memory.view()));
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|version| version.strong_count() > 0);
        versions.push(Arc::downgrade(&kept));
        Ok(StateVersion::new(sequence, Arc::clone(&self.database), kept))
    }

    /// Saves for the versions that are held what is about to change in the database.
    fn save_for_versions<'a>(
        &self,
        writes: &(impl Iterator<Item = &'a Write> + Clone),
    ) -> Result<(), StoreError> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        for version in versions.iter().filter_map(Weak::upgrade) {
            version.save(writes.clone(), &self.database.engine)?;
        }
        Ok(())
    }
}

impl Read for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.memory.get(key) {
            Some(value) if !keys::is_position(key) => Ok(value),
            _ => self.database.get(key),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        match self.scan_memory(prefix, after, visit) {
            Some(from) => {
                let from = from.as_ref().map(Vec::as_slice);
                self.database.engine.scan_from(from, prefix, visit)
            }
            None => Ok(()),
        }
    }

    fn skip(&self, prefix: &[u8], count: u64) -> (Option<Vec<u8>>, u64) {
        self.memory.skip(prefix, count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::super::engine::Engine;
    use super::*;
    use crate::event::{Actor, Details, Event, Head, Verb};

    fn state(folder: &std::path::Path, memory: usize) -> State {
        let engine = Engine::open(&folder.join("state"), 8).unwrap();
        let database = Database { engine, mark: folder.join("rebuild"), turn: Mutex::default() };
        State::new(database, memory, [7; 16])
    }

    /// The frame with a number that makes some writes.
    fn frame(sequence: u64, writes: impl Into<Vec<Write>>) -> [Arc<Frame>; 1] {
        let head = Head {
            time: Timestamp::UNIX_EPOCH,
            actor: Actor::System,
            event: Event { kind: String::new(), verb: Verb::Replaced, subject: String::new() },
            details: Details::default(),
        };
        let (group, previous, hash, writes) = (sequence, [0; 32], [0; 32], writes.into());
        [Arc::new(Frame { sequence, group, previous, hash, head, writes })]
    }

    fn write(key: u32, value: Option<u32>) -> Write {
        let value = value.map(|value| Bytes::from(value.to_le_bytes().repeat(20)));
        Write { key: [b"t", key.to_be_bytes().as_slice()].concat(), value }
    }

    fn all(state: &dyn Read) -> Vec<(Vec<u8>, Bytes)> {
        let mut all = Vec::new();
        let visit = &mut |key: &[u8], value| {
            all.push((key.to_vec(), value));
            ControlFlow::Continue(())
        };
        state.scan(b"t", None, visit).unwrap();
        all
    }

    #[test]
    fn what_changes_while_it_is_loaded_is_held_as_the_database_has_it() {
        for memory in [usize::MAX, 400_000] {
            let folder = tempfile::tempdir().unwrap();
            let state = state(folder.path(), memory);
            let writes: Vec<Write> = (0..20_000).map(|key| write(key, Some(key))).collect();
            state.apply(&frame(1, writes)).unwrap();
            let mut loading = true;
            for change in 0..2_000_u32 {
                let key = change * 7919 % 25_000;
                let value = (change % 3 != 0).then_some(change);
                let changes =
                    [write(key, value), write(key + 1, None), write(key + 2, Some(change))];
                state.apply(&frame(2 + u64::from(change), changes.clone())).unwrap();
                assert_eq!(state.get(&changes[0].key).unwrap(), changes[0].value);
                if change % 10 == 0 {
                    loading = loading && state.load();
                    assert_eq!(all(&state), all(state.database.as_ref()));
                }
            }
            assert!(!loading);
            let check = state.check();
            assert_eq!(check.faults, 0, "{:?}", check.findings);
            let held = state.memory.upto() == HeldUpTo::End;
            let all_checked = check.checked == all(state.database.as_ref()).len() as u64;
            assert_eq!((held, all_checked), (memory == usize::MAX, held));
            assert_eq!(state.told.load(Ordering::Relaxed), !held);
        }
    }

    #[test]
    fn between_two_looks_at_the_same_position_no_part_of_a_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path(), usize::MAX);
        assert!(!state.load());
        let stop = AtomicBool::new(false);
        let numbers = 0..u32::try_from(3 * PART).unwrap();
        let mut seen = BTreeSet::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sequence = 0;
                while !stop.load(Ordering::Relaxed) {
                    sequence += 1;
                    let writes: Vec<Write> =
                        numbers.clone().map(|key| write(key, Some(sequence))).collect();
                    state.apply(&frame(sequence.into(), writes)).unwrap();
                    state.catch_up().unwrap();
                    std::thread::yield_now();
                }
            });
            let database = state.database.as_ref();
            let value = |key| database.get(&write(key, None).key).unwrap();
            let (since, mut torn) = (Stopwatch::start(), false);
            while seen.len() < 50 && !torn && since.elapsed().as_secs() < 60 {
                let before = database.get(keys::APPLIED).unwrap();
                let (first, last) = (value(numbers.start), value(numbers.end - 1));
                if database.get(keys::APPLIED).unwrap() == before {
                    torn = first != last;
                    seen.insert(before);
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(!torn, "a change was seen in part");
        });
        assert_eq!(seen.len(), 50);
    }

    #[test]
    fn a_difference_between_memory_and_database_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path(), usize::MAX);
        assert!(!state.load());
        state.apply(&frame(1, [write(1, Some(1)), write(2, Some(2))])).unwrap();
        assert_eq!(state.check().faults, 0);
        let other = [write(1, Some(3)), write(2, None), write(4, Some(4))];
        state.memory.apply(other.iter());
        let check = state.check();
        assert_eq!((check.checked, check.faults), (2, 3), "{:?}", check.findings);
    }

    #[test]
    fn a_damaged_record_ends_the_loading_and_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let state = state(folder.path(), usize::MAX);
        let record = Write { key: b"r\x01damaged".to_vec(), value: Some(Bytes::from_static(b"?")) };
        state.apply(&frame(1, [record.clone(), write(1, Some(1))])).unwrap();
        assert!(!state.load());
        assert!(folder.path().join("rebuild").exists());
        assert!(matches!(state.get(&record.key), Err(StoreError::Damaged { .. })));
        assert_eq!(all(&state).len(), 1);
    }

    #[test]
    fn a_version_stays_as_it_is_wherever_its_keys_are() {
        for memory in [usize::MAX, 300_000, 0] {
            let folder = tempfile::tempdir().unwrap();
            let state = state(folder.path(), memory);
            let writes: Vec<Write> = (0..8_000).map(|key| write(key * 2, Some(key))).collect();
            state.apply(&frame(1, writes)).unwrap();
            (0..10).for_each(|_| {
                state.load();
            });
            let (version, before) = (state.version().unwrap(), all(&state));
            for change in 0..2_000_u32 {
                let key = change * 7919 % 18_000;
                let changes = [write(key, Some(change + 1)), write(key + 1, None)];
                state.apply(&frame(2 + u64::from(change), changes.clone())).unwrap();
                let was = before.iter().find(|(known, _)| *known == changes[0].key);
                let was = was.map(|(_, value)| value.clone());
                assert_eq!(version.get(&changes[0].key).unwrap(), was);
                state.load();
            }
            assert!(version.sequence() == 1 && all(&version) == before && all(&state) != before);
            let latest = state.version().unwrap();
            assert!(latest.sequence() == 2_001 && all(&latest) == all(&state));
            drop((version, latest));
            drop(state.version());
            assert_eq!(
                state.versions.lock().unwrap().len(),
                1,
                "those that are dropped are forgotten"
            );
        }
    }
}
