//! How a store is doing, in figures.

use jiff::Timestamp;

use super::local::LocalStore;
use super::snapshots::Snapshots;
use crate::metrics::HistogramSnapshot;

/// StoreStats of the moment. What can't be found out is `None`.
#[derive(Clone, Debug)]
pub struct StoreStats {
    /// The number of the last change on disk.
    pub journal_sequence: u64,
    /// How many bytes the journal's files have.
    pub journal_bytes: Option<u64>,
    /// How many bytes the database's files have.
    pub database_bytes: u64,
    /// How many bytes of state are held in memory.
    pub held_bytes: usize,
    /// How much room the disk has for us.
    pub free_bytes: Option<u64>,
    /// When the newest snapshot was taken.
    pub snapshot: Option<Timestamp>,
    /// How long the journal's fdatasyncs took, in microseconds.
    pub syncs: HistogramSnapshot,
}

impl LocalStore {
    /// The figures. Files are looked at, none is read as a whole, and no lock is waited for that
    /// somebody holds for long.
    pub(super) fn read_stats(&self) -> StoreStats {
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
}
