//! The upkeep of a store: snapshots, checks and retention.

use std::time::Duration;

use jiff::Timestamp;

use super::check::Check;
use super::past_state::PastState;
use super::point_in_time::PointInTime;
use super::snapshot::{Snapshot, VerifiedSnapshot};
use super::{Read, StoreError};

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPolicy {
    /// How many snapshots.
    pub snapshots: usize,
    /// How long changes stay in the journal; `None` for ever.
    pub journal: Option<Duration>,
    /// The change behind which all are still needed, however old; `None` if none is.
    pub needed: Option<u64>,
}

/// What was done to keep a store in order.
#[derive(Debug)]
pub struct MaintenanceReport {
    /// The snapshot of the present state.
    pub snapshot: VerifiedSnapshot,
    /// How many of the journal's files were removed.
    pub trimmed: usize,
}

/// The upkeep of a store while it is in use.
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

    /// The oldest state that snapshots and the journal go back to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if no snapshot can be used that the journal follows.
    fn oldest_state(&self) -> Result<PastState, StoreError>;

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
