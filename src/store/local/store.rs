//! The state of a data folder that follows a log.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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
    pub(super) state: Arc<State>,
    /// Has the database follow.
    follower: Option<JoinHandle<()>>,
    /// The position that the state has reached.
    applied: Mutex<Position>,
    /// Locked while a snapshot is taken: one at a time.
    pub(super) snapshots: Mutex<Snapshots>,
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
        if self.state.is_stopped() {
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
            Err(_) => self.state.stop(),
        }
        outcome
    }

    fn version(&self) -> Result<StateVersion, StoreError> {
        Ok(self.state.version())
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

    fn warm_up(&self) -> bool {
        !self.has_stopped() && self.state.load()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(self)
    }
}

impl LocalStore {
    /// A store whose state has reached `applied`, a position of `log`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if no thread can be started.
    pub(super) fn new(
        log: Arc<dyn Log>,
        state: State,
        applied: Position,
        disk_space: DiskSpace,
        spare_files: SpareFiles,
        folder: DataFolder,
    ) -> Result<Self, StoreError> {
        let state = Arc::new(state);
        let follows = Arc::clone(&state);
        let follower = std::thread::Builder::new()
            .name("store-follow".to_owned())
            .spawn(move || follows.follow_when_due())
            .map_err(|error| {
                StoreError::Folder(format!("can't start the thread of the database: {error}"))
            })?;
        Ok(Self {
            log,
            state,
            follower: Some(follower),
            applied: Mutex::new(applied),
            snapshots: Mutex::new(Snapshots::of(folder.path())),
            disk_space,
            spare_files,
            folder,
        })
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
        self.state.is_stopped() || self.log.is_stopped()
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.state.close();
        if let Some(follower) = self.follower.take() {
            // It catches its own panics.
            let _ = follower.join();
        }
        let engine = &self.state.database.engine;
        let flushed = match self.has_stopped() {
            true => Err(StoreError::Stopped),
            false => self.state.catch_up().and_then(|()| engine.flush()),
        };
        if let Err(error) = flushed {
            tracing::error!(%error, "the database was not flushed; the next start applies the journal");
            engine.abandon();
        }
    }
}
