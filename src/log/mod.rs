//! The log: every change, in order, durable before it is acknowledged.
//!
//! The log is a sequence of frames. A frame is one change: who made it, when, why, and the keys that
//! it sets and removes. Each frame holds the hash of the one before it, so that an altered, removed or
//! inserted frame shows. State, caches, audit trail and recovery all follow the log.
//!
//! [`Log::append`] is the only way to change anything: it names the position that the writer has seen,
//! and does nothing if the log has moved on since. So several writers can share one log without any
//! other precondition. [`local`] keeps the log in files of the data folder.

mod frame;
pub mod local;
#[cfg(test)]
pub(crate) mod memory;
mod position;
mod recent;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use frame::{Frame, Hash, Write, decode_writes, encode_write};
pub use position::Position;

use crate::event::Head;
use crate::metrics::HistogramSnapshot;

/// What can go wrong with the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file does not say what was written to it.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The log does not take an entry, because it could not be read back. Nothing was written.
    #[error("the change can't be written to the log: {0}")]
    Refused(&'static str),
    /// The log was opened for reading.
    #[error("the log was opened for reading")]
    ReadOnly,
    /// An earlier error makes it unknown where the log ends; a restart finds out.
    #[error("the log has stopped after an earlier error; restart scimd to recover")]
    Stopped,
}

impl LogError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Reading a log, beside the writer: readers and the writer never block each other.
pub trait ReadLog: Send + Sync {
    /// What tells this log from any other; a secret of the appliance.
    fn identity(&self) -> [u8; 16];

    /// The position of the last frame.
    fn head(&self) -> Position;

    /// The position that the oldest kept frame follows.
    ///
    /// # Errors
    ///
    /// [`LogError`] if it can't be read.
    fn start(&self) -> Result<Position, LogError>;

    /// Visits every frame after a sequence up to the head, in order, until `visit` breaks off.
    /// Checksums and chain of what is read from disk are checked.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] at the first frame that is not what was written, or if the log does not
    /// reach back that far.
    fn read(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError>;

    /// A sequence that every frame made at `moment` or later comes after. It may be an early one, also
    /// where the clock was set back.
    ///
    /// # Errors
    ///
    /// [`LogError`] if it can't be read.
    fn before(&self, moment: Timestamp) -> Result<u64, LogError>;

    /// The sequence of the last frame made before a moment, by the clock of that time; `None` if the log
    /// has none.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError>;

    /// The sequence from which to read to get the frames up to `sequence` in a part of bounded size.
    ///
    /// # Errors
    ///
    /// [`LogError`] if it can't be read.
    fn before_part_of(&self, sequence: u64) -> Result<u64, LogError>;

    /// Checks every frame, also behind one that is damaged, and that the chain passes through the anchors.
    /// Faults are reported in the order of the log, those of anchors last.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the log can't be read at all.
    fn verify(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError>;
}

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

/// What a check of the chain read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// What the first file follows.
    pub begin: Position,
    /// The last change.
    pub end: Position,
    /// How many files there are.
    pub files: u64,
    /// How many changes were read.
    pub changes: u64,
    /// How many bytes behind the last change belong to a write that was not finished.
    pub torn_bytes: u64,
}

/// Reads as [`ReadLog::read`] does, with a visitor that may fail.
///
/// # Errors
///
/// Those of the log, and of `visit`.
pub fn try_read<E: From<LogError>>(
    log: &dyn ReadLog,
    after: u64,
    mut visit: impl FnMut(Arc<Frame>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut outcome = Ok(());
    log.read(after, &mut |frame| match visit(frame) {
        Ok(flow) => flow,
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })?;
    outcome
}

/// One change to be appended.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Who, when and what.
    pub head: Head,
    /// The keys that it sets and removes.
    pub writes: Vec<Write>,
}
