//! What keeps a store in order: snapshots, and the end of what is no longer needed.

use std::fs;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;

use super::check::{self, Check};
use super::local::{LocalStore, mark_for_compaction};
use super::point_in_time::PointInTime;
use super::snapshot::{self, Snapshot, VerifiedSnapshot};
use super::snapshots::Snapshots;
use super::{Read, StoreError};

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// How many snapshots.
    pub snapshots: usize,
    /// How long changes stay in the journal; `None` for ever.
    pub journal: Option<Duration>,
}

/// What was done to keep a store in order.
#[derive(Debug)]
pub struct MaintenanceReport {
    /// The snapshot of the present state.
    pub snapshot: VerifiedSnapshot,
    /// How many of the journal's files were removed.
    pub trimmed: usize,
}

/// RetentionPolicy a store in order, while it is in use.
pub trait Maintenance: PointInTime {
    /// The state as it is stored on disk, whatever memory holds.
    fn at_rest(&self) -> &dyn Read;

    /// Takes a snapshot of all state and reads it back. Changes go on meanwhile; those that were
    /// acknowledged before are in it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it harms nothing else.
    fn snapshot(&self, now: Timestamp) -> Result<VerifiedSnapshot, StoreError>;

    /// Has the next start compact the database.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    fn compact_at_next_start(&self) -> Result<(), StoreError>;

    /// Checks what is kept besides the state.
    fn check(&self) -> Vec<Check>;

    /// The newest snapshot that there is.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    fn newest_snapshot(&self) -> Result<Option<Snapshot>, StoreError>;

    /// Sees to it that there is a snapshot of the present state, and removes snapshots and files of
    /// the journal that are no longer kept. The journal always reaches back to the oldest snapshot.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it harms nothing else.
    fn keep(
        &self,
        now: Timestamp,
        keeping: RetentionPolicy,
    ) -> Result<MaintenanceReport, StoreError>;
}

impl Maintenance for LocalStore {
    fn at_rest(&self) -> &dyn Read {
        &self.state.database
    }

    fn snapshot(&self, now: Timestamp) -> Result<VerifiedSnapshot, StoreError> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(&snapshots, now)
    }

    fn compact_at_next_start(&self) -> Result<(), StoreError> {
        mark_for_compaction(self.folder.path())
    }

    fn check(&self) -> Vec<Check> {
        let of_snapshots = {
            let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
            check::snapshots(&snapshots, self.log.as_ref())
        };
        vec![check::journal(self.log.as_ref()), of_snapshots, self.state.check()]
    }

    fn newest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(snapshots.list()?.0.into_iter().next())
    }

    fn keep(
        &self,
        now: Timestamp,
        keeping: RetentionPolicy,
    ) -> Result<MaintenanceReport, StoreError> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.log.head();
        let present = snapshots.list()?.0.into_iter().find(|snapshot| snapshot.position == end);
        // Where nothing has changed, the last one will do, if it still is what was written.
        let whole = match present.map(|snapshot| snapshot::load(&snapshot.path, |_| Ok(()))) {
            Some(Ok(whole)) => whole,
            _ => self.take(&snapshots, now)?,
        };
        let oldest = snapshots.retain(keeping.snapshots)?;
        let mut trimmed = 0;
        if let (Some(oldest), Some(age)) = (oldest, keeping.journal) {
            let made_before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
            trimmed = self.log.trim(oldest.position.sequence, made_before)?;
        }
        Ok(MaintenanceReport { snapshot: whole, trimmed })
    }
}

impl LocalStore {
    fn take(&self, snapshots: &Snapshots, now: Timestamp) -> Result<VerifiedSnapshot, StoreError> {
        let newest = snapshots.list()?.0.into_iter().next();
        let bytes = match newest.map(|snapshot| fs::metadata(&snapshot.path)) {
            Some(Ok(metadata)) => metadata.len(),
            _ => self.state.database.engine.bytes(),
        };
        self.disk_space.check(bytes)?;
        let applied = self.state.database.engine.applied()?.map_or(0, |(_, applied)| applied);
        snapshots.take(&self.state.database, self.log.as_ref(), applied, now)
    }
}
