//! A log in files that is only read: no server uses its folder.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::LogFiles;
use crate::log::{
    Append, ChainReport, Frame, Log, LogEntry, LogError, LogStats, Position, ReadLog,
};

/// A log that refuses every change.
pub struct ReadOnlyLog(LogFiles);

impl ReadOnlyLog {
    /// Opens the log in `folder`. A write at its end that was never acknowledged is passed over.
    ///
    /// # Errors
    ///
    /// [`LogError`], also if there is no log.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        Ok(Self(LogFiles::inspect(folder)?.0))
    }
}

impl Log for ReadOnlyLog {
    fn append(&self, group: Vec<LogEntry>, _: Position) -> Result<Append, LogError> {
        if group.is_empty() { Ok(Append::Done(Vec::new())) } else { Err(LogError::ReadOnly) }
    }

    fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position {
        self.0.recent.wait_beyond(sequence, patience)
    }

    fn close(&self) {
        self.0.recent.close();
    }

    fn is_stopped(&self) -> bool {
        true
    }

    fn trim(&self, _: u64, _: Timestamp) -> Result<usize, LogError> {
        Err(LogError::ReadOnly)
    }

    fn stats(&self) -> LogStats {
        self.0.stats()
    }
}

impl ReadLog for ReadOnlyLog {
    fn identity(&self) -> [u8; 16] {
        self.0.identity()
    }

    fn head(&self) -> Position {
        self.0.head()
    }

    fn start(&self) -> Result<Position, LogError> {
        self.0.start()
    }

    fn read(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        self.0.read(after, visit)
    }

    fn before(&self, moment: Timestamp) -> Result<u64, LogError> {
        self.0.before(moment)
    }

    fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError> {
        self.0.last_before(moment)
    }

    fn before_part_of(&self, sequence: u64) -> Result<u64, LogError> {
        self.0.before_part_of(sequence)
    }

    fn verify(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        self.0.verify(anchors, fault)
    }
}
