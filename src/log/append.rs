//! The writing side of a log: [`Log`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::error::LogError;
use super::frame::{Frame, LogEntry};
use super::position::Position;
use super::read::ReadLog;
use crate::metrics::HistogramSnapshot;

/// A log that can be appended to.
pub trait Log: ReadLog {
    /// Makes a group of entries durable directly behind `expected`, all of it; or does nothing, because
    /// the head is another one. When this returns [`Append::Done`] the group survives a loss of power.
    /// Only a crash may leave a prefix of the group, which was never acknowledged.
    ///
    /// # Errors
    ///
    /// [`LogError::Refused`]: nothing was written. After any other error it is unknown whether the group
    /// is in the log, and everything later is answered with [`LogError::Stopped`].
    fn append(&self, group: Vec<LogEntry>, expected: Position) -> Result<Append, LogError>;

    /// Blocks until the head is beyond `sequence`, the log is closed, or `patience` has passed; returns
    /// the head.
    fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position;

    /// Wakes all who wait in [`Log::wait_beyond`], now and later.
    fn close(&self);

    /// Whether nothing can be appended any more.
    fn is_stopped(&self) -> bool;

    /// Removes old frames that come no later than `upto` and were made before a moment; returns how many
    /// files were removed. More than that may be kept.
    ///
    /// # Errors
    ///
    /// [`LogError`]; what was removed before stays removed.
    fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, LogError>;

    /// The log in figures.
    fn stats(&self) -> LogStats;
}

/// The outcome of [`Log::append`].
#[derive(Debug)]
pub enum Append {
    /// The frames of the group, in order.
    Done(Vec<Arc<Frame>>),
    /// Nothing was appended: the head is here, not where it was expected.
    Moved(Position),
}

/// A log in figures.
#[derive(Clone, Debug)]
pub struct LogStats {
    /// The size of the log's files; `None` if it can't be found out.
    pub bytes: Option<u64>,
    /// How long appended groups took to become durable, in microseconds.
    pub syncs: HistogramSnapshot,
}
