//! The state: on disk in the database, and partly in memory.
//!
//! Memory is loaded piece by piece, in the order of keys, by the thread that changes the state,
//! between two changes, so that a value is replaced by the thread that allocated it. Until memory holds
//! all it agrees with the database; from then on the database follows.

#[cfg(test)]
mod tests;

use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::behind::Behind;
use super::check::Check;
use super::database::Database;
use super::engine::PART;
use super::memory::{HeldUpTo, Memory, MemoryView, scan_held};
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
    /// The last change that it includes; changes with memory while what the database lacks is locked.
    reached: AtomicU64,
    /// What the database lacks while memory holds all.
    behind: Behind,
    /// Whether a change could not be taken over as a whole: then nothing is written any more.
    stopped: AtomicBool,
    /// What the versions keep that are held.
    versions: Mutex<Vec<Weak<KeptState>>>,
    /// Whether a lack of memory has been logged.
    told: AtomicBool,
    opened: Stopwatch,
}

impl State {
    /// Creates the state of a database that has reached a change of the log `identity`, of which at most `memory` bytes
    /// are held in memory.
    pub(super) fn new(database: Database, memory: usize, identity: [u8; 16], reached: u64) -> Self {
        Self {
            database: Arc::new(database),
            memory: Memory::new(memory),
            identity,
            reached: AtomicU64::new(reached),
            behind: Behind::default(),
            stopped: AtomicBool::new(false),
            versions: Mutex::default(),
            told: AtomicBool::new(false),
            opened: Stopwatch::start(),
        }
    }

    /// Takes over the next frames of the log. While memory holds all of the state the database follows later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`]; nothing is written any more then.
    pub(super) fn apply(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        let Some(last) = frames.last() else { return Ok(()) };
        if self.apply_to_memory(frames, last.sequence) {
            return Ok(());
        }
        let _turn = self.database.turn();
        let part = match self.memory.upto() {
            HeldUpTo::End => PART,
            // The database is read as well: there changes have to come as a whole.
            HeldUpTo::Key(_) => usize::MAX,
        };
        // Before memory has them: what it does not hold, or gives up for them, is read there.
        let lacking = self.behind.lock().take();
        self.follow(&lacking, part)?;
        self.follow(frames, part)?;
        let lacks = self.behind.lock();
        let fits = self.memory.apply(frames.iter().flat_map(|frame| &frame.writes));
        self.reached.store(last.sequence, Ordering::Relaxed);
        drop(lacks);
        if !fits {
            self.tell_of_little_room();
        }
        Ok(())
    }

    /// Takes frames over into memory, if that holds all and goes on to do so, and if the database is not too far behind.
    fn apply_to_memory(&self, frames: &[Arc<Frame>], sequence: u64) -> bool {
        let mut lacks = self.behind.lock();
        if lacks.is_full()
            || self.memory.upto() != HeldUpTo::End
            || !self.memory.apply_if_it_fits(frames.iter().flat_map(|frame| &frame.writes))
        {
            return false;
        }
        self.reached.store(sequence, Ordering::Relaxed);
        self.behind.extend(&mut lacks, frames);
        true
    }

    /// Has the database follow now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`]; nothing is written any more then.
    pub(super) fn catch_up(&self) -> Result<(), StoreError> {
        let _turn = self.database.turn();
        let lacking = self.behind.lock().take();
        self.follow(&lacking, PART)
    }

    /// Has the database follow whenever that is due, until the state is closed or a write fails.
    pub(super) fn follow_when_due(&self) {
        while self.behind.wait_until_due() && self.catch_up().is_ok() {}
    }

    /// Ends [`State::follow_when_due`].
    pub(super) fn close(&self) {
        self.behind.close();
    }

    /// Writes nothing any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether nothing is written any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Writes frames to the database in batches of at most `part` writes, while its turn is held.
    fn follow(&self, frames: &[Arc<Frame>], part: usize) -> Result<(), StoreError> {
        if self.is_stopped() {
            return Err(StoreError::Stopped);
        }
        let Some(last) = frames.last() else { return Ok(()) };
        let writes = frames.iter().flat_map(|frame| &frame.writes);
        let write = || {
            self.save_for_versions(&writes)?;
            self.database.engine.apply(writes.clone(), part, self.identity, last.sequence)
        };
        // On a damaged file sled may panic rather than fail.
        let written = catch_unwind(AssertUnwindSafe(write)).unwrap_or_else(|_| {
            Err(StoreError::Engine { action: "write", reason: "it panicked".to_owned() })
        });
        if let Err(error) = &written {
            // These frames are in the log alone now: before others are written the log is followed again.
            self.stop();
            tracing::error!(
                %error, "the database can't follow the log: nothing is changed any more; check the disk, then restart"
            );
        }
        written
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
        self.catch_up()?;
        let engine = &self.database.engine;
        let mut outcome = Ok(());
        engine.scan(&[], None, &mut |key, value| {
            let held = self.memory.get(key).filter(|_| !keys::is_position(key));
            let Some(held) = held else { return ControlFlow::Continue(()) };
            check.checked += 1;
            if held.as_ref() != Some(&value) {
                outcome = self.compare_key(key, check);
            }
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        let mut outcome = Ok(());
        self.scan_memory(&[], None, &mut |key, _| {
            if !matches!(engine.get(key), Ok(Some(_))) {
                outcome = self.compare_key(key, check);
            }
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        outcome
    }

    /// Compares a key between two changes.
    fn compare_key(&self, key: &[u8], check: &mut Check) -> Result<(), StoreError> {
        // Changes wait for what is left then.
        self.catch_up()?;
        let _turn = self.database.turn();
        let mut lacks = self.behind.lock();
        self.follow(&lacks.take(), PART)?;
        let differs = match self.database.engine.get(key) {
            Ok(value) => self.memory.get(key).is_some_and(|held| held != value),
            Err(_) => true,
        };
        if differs {
            let reason = format!("memory and database differ at key {}", HEXLOWER.encode(key));
            check.fault(format!("{reason}; restart scimd to rebuild the database"));
            self.database.have_rebuilt(&reason);
        }
        Ok(())
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
    pub(super) fn version(&self) -> StateVersion {
        let lacks = self.behind.lock();
        let view = self.memory.view();
        if *view.upto() == HeldUpTo::End {
            return self.keep(view);
        }
        drop(lacks);
        // The database must stay as it is until the version is known.
        let _turn = self.database.turn();
        let _lacks = self.behind.lock();
        self.keep(self.memory.view())
    }

    /// The version of what memory holds now.
    fn keep(&self, held: MemoryView) -> StateVersion {
        let kept = Arc::new(KeptState::new(held));
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|version| version.strong_count() > 0);
        versions.push(Arc::downgrade(&kept));
        let reached = self.reached.load(Ordering::Relaxed);
        StateVersion::new(reached, Arc::clone(&self.database), kept)
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
