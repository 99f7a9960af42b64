//! The state of a data folder that follows a log.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::log::{Frame, Log, Position};
use crate::store::disk_space::DiskSpace;
use crate::store::folder::DataFolder;
use crate::store::maintenance::Maintenance;
use crate::store::snapshots::Snapshots;
use crate::store::spare_files::SpareFiles;
use crate::store::state::State;
use crate::store::stats::StoreStats;
use crate::store::{Read, StateVersion, Store, StoreError};

/// State in the data folder that follows a log.
pub struct LocalStore {
    pub(super) log: Arc<dyn Log>,
    pub(super) state: State,
    /// The position that the state has reached.
    applied: Mutex<Position>,
    /// Locked while a snapshot is taken: one at a time.
    pub(super) snapshots: Mutex<Snapshots>,
    stopped: AtomicBool,
    /// Whether there may be more of the state to load into memory.
    is_loading: AtomicBool,
    pub(super) disk_space: DiskSpace,
    spare_files: SpareFiles,
    pub(super) folder: DataFolder,
}

impl Read for LocalStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.state.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.state.scan(prefix, after, visit)
    }

    fn skip(&self, prefix: &[u8], count: u64) -> (Option<Vec<u8>>, u64) {
        self.state.skip(prefix, count)
    }
}

impl Store for LocalStore {
    fn applied(&self) -> Position {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok(()) };
        if self.stopped.load(Ordering::SeqCst) {
            return Err(StoreError::Stopped);
        }
        let applied = self.applied();
        let outcome = if (first.sequence, first.previous) == (applied.sequence + 1, applied.hash) {
            self.state.apply(frames)
        } else {
            let reason = format!(
                "change {} does not follow change {}, the current state",
                first.sequence, applied.sequence
            );
            Err(StoreError::Engine { action: "follow the log", reason })
        };
        match &outcome {
            Ok(()) => {
                *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = last.position();
            }
            Err(_) => self.stopped.store(true, Ordering::SeqCst),
        }
        outcome
    }

    fn version(&self) -> Result<StateVersion, StoreError> {
        self.state.version()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        if self.has_stopped() {
            return Err(StoreError::Stopped);
        }
        self.spare_files.check()?;
        self.disk_space.check_for_change()
    }

    fn check_reserve(&self) -> Result<(), StoreError> {
        if self.has_stopped() {
            return Err(StoreError::Stopped);
        }
        self.spare_files.check()?;
        self.disk_space.check_reserve()
    }

    fn is_stopped(&self) -> bool {
        self.has_stopped() || self.disk_space.check(0).is_err()
    }

    fn stats(&self) -> StoreStats {
        self.read_stats()
    }

    fn rest(&self) -> Option<Duration> {
        if self.has_stopped() {
            return None;
        }
        if self.is_loading.load(Ordering::Relaxed) {
            self.is_loading.store(self.state.load(), Ordering::Relaxed);
            return Some(Duration::ZERO);
        }
        if self.state.due_in()?.is_zero() {
            // What reads the state needs nothing of it, and what changes it finds the store stopped.
            let _ = self.catch_up();
        }
        self.state.due_in()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(self)
    }
}

impl LocalStore {
    /// A store whose state has reached `applied`, a position of `log`.
    pub(super) fn new(
        log: Arc<dyn Log>,
        state: State,
        applied: Position,
        disk_space: DiskSpace,
        spare_files: SpareFiles,
        folder: DataFolder,
    ) -> Self {
        Self {
            log,
            state,
            applied: Mutex::new(applied),
            snapshots: Mutex::new(Snapshots::of(folder.path())),
            stopped: AtomicBool::new(false),
            is_loading: AtomicBool::new(true),
            disk_space,
            spare_files,
            folder,
        }
    }

    /// Has the database follow the log to where the state is.
    ///
    /// # Errors
    ///
    /// As [`Store::apply`].
    pub(super) fn catch_up(&self) -> Result<(), StoreError> {
        let outcome = self.state.catch_up();
        if let Err(error) = &outcome {
            tracing::error!(%error, "the database can't follow the log; restart scimd to recover");
            self.stopped.store(true, Ordering::SeqCst);
        }
        outcome
    }

    /// The log that the state follows.
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log)
    }

    /// The statistics. It looks at files, reads none as a whole, and it waits for no lock
    /// that is held for long.
    fn read_stats(&self) -> StoreStats {
        let data = self.folder.path();
        let log = self.log.stats();
        let snapshots = Snapshots::of(data).list().map(|(snapshots, _)| snapshots);
        StoreStats {
            journal_sequence: self.log.head().sequence,
            journal_bytes: log.bytes,
            database_bytes: self.state.database.engine.bytes(),
            held_bytes: self.state.held_bytes(),
            free_bytes: self.disk_space.left().ok(),
            snapshot: snapshots.ok().and_then(|snapshots| Some(snapshots.first()?.taken)),
            syncs: log.syncs,
        }
    }

    /// Whether an error has stopped the store or its log for good.
    fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.log.is_stopped()
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        let engine = &self.state.database.engine;
        let flushed = match self.has_stopped() {
            true => Err(StoreError::Stopped),
            false => self.catch_up().and_then(|()| engine.flush()),
        };
        if let Err(error) = flushed {
            tracing::error!(%error, "the database was not flushed; the next start applies the journal");
            engine.abandon();
        }
    }
}
