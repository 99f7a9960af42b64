//! How a store is doing, in figures.

use jiff::Timestamp;

use crate::metrics::HistogramSnapshot;

/// A store in figures. A figure that can't be determined is `None`.
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
