//! The reading side of a log: [`ReadLog`].

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use super::error::LogError;
use super::frame::Frame;
use super::position::Position;

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
