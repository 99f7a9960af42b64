//! The writing side of a log: [`Log`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
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
    /// Only a crash may leave a prefix of the group, which was never acknowledged. An empty group asks
    /// whether `expected` is still the head, also where other processes append.
    ///
    /// # Errors
    ///
    /// [`LogError::Refused`]: nothing was written. [`LogError::Unavailable`]: it is unknown whether the group
    /// is in the log, and others may be tried. After any other error it is unknown as well, and everything
    /// later is answered with [`LogError::Stopped`].
    fn append(&self, group: Vec<LogEntry>, expected: Position) -> Result<Append, LogError>;

    /// Blocks until the head is beyond `sequence`, the log is closed, or `patience` has passed; returns
    /// the head.
    fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position;

    /// Wakes all who wait in [`Log::wait_beyond`], now and later.
    fn close(&self);

    /// Whether nothing can be appended any more.
    fn is_stopped(&self) -> bool;

    /// Whether other processes append to it as well.
    fn is_shared(&self) -> bool {
        false
    }

    /// The head as it is at some moment after the call, with what other processes have appended; all frames up to it can
    /// be read.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`] if it can't be found out within `patience`; [`LogError::Stopped`].
    fn newest(&self, _patience: Duration) -> Result<Position, LogError> {
        Ok(self.head())
    }

    /// Why nothing can be appended at the moment; `None` if all is well, as far as is known.
    fn problem(&self) -> Option<String> {
        None
    }

    /// The nodes that share the log; none if it is not shared.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`].
    fn nodes(&self) -> Result<Vec<LogNode>, LogError> {
        Ok(Vec::new())
    }

    /// Notes digests of the settings in this process's configuration, for the other processes to see.
    fn note_settings(&self, _digests: &str) {}

    /// Has this process strive for these leases, and no others. What is done under a lease one process does alone.
    fn want_leases(&self, _names: Vec<String>) {}

    /// Gives a lease up for a time, so that another process can take it; nothing where the log is not shared.
    fn pause_lease(&self, _name: &str, _pause: Duration) {}

    /// Who holds a lease.
    fn lease(&self, _name: &str) -> Lease {
        Lease::Held
    }

    /// Has all processes that append write the newest format that this one knows.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`].
    fn raise_format(&self) -> Result<FormatRaise, LogError> {
        Ok(FormatRaise::NotShared)
    }

    /// Removes old frames that come no later than `upto` and were made before a moment; returns how many
    /// files were removed. More than that may be kept.
    ///
    /// # Errors
    ///
    /// [`LogError`]; what was removed before stays removed.
    fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, LogError>;

    /// Keeps a snapshot of the state where other processes that append find it, if they need one; whether it did.
    ///
    /// # Errors
    ///
    /// [`LogError`]; it harms nothing else.
    fn keep_snapshot(&self, _snapshot: &SnapshotFile<'_>) -> Result<bool, LogError> {
        Ok(false)
    }

    /// The log in figures.
    fn stats(&self) -> LogStats;
}

/// A file with the state at a position.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotFile<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The last change that is in it.
    pub position: Position,
}

/// A node that appends to a shared log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogNode {
    /// What tells it from others.
    pub id: [u8; 16],
    /// Its name, for people.
    pub name: String,
    /// Its version of scimd.
    pub version: String,
    /// The last change that it has copied.
    pub copied: u64,
    /// How long ago it was seen.
    pub seen: Duration,
    /// The newest format of the log that it knows.
    pub format: u32,
    /// Digests of the settings in its configuration file; empty until it has read them.
    pub settings: String,
    /// Whether it is this one.
    pub is_this: bool,
}

impl LogNode {
    /// Whether it runs: each running node is seen every second.
    pub fn is_running(&self) -> bool {
        self.seen < Duration::from_secs(10)
    }

    /// Its name with the beginning of its id: several nodes may have one name.
    pub fn shown(&self) -> String {
        shown_node(&self.name, &self.id)
    }
}

/// The name of a node with the beginning of its id.
pub(super) fn shown_node(name: &str, id: &[u8]) -> String {
    let id = HEXLOWER.encode(id.get(..4).unwrap_or(id));
    format!("{name} ({id})")
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This process, as it always does where the log is not shared.
    Held,
    /// Another one, by its name.
    Elsewhere(String),
    /// No process, as far as is known.
    Unknown,
}

/// What comes of raising the format of a log that several nodes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatRaise {
    /// The log is not shared: it is always written in the newest format.
    NotShared,
    /// It has this format already.
    Unchanged(u32),
    /// It has this format from now on.
    Raised(u32),
    /// Nothing was changed.
    Refused {
        /// The running nodes that do not know the format, each with the newest that it knows.
        behind: Vec<(String, u32)>,
        /// The format.
        known: u32,
    },
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
