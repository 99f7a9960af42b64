//! A log in memory that several directories share; for tests of what happens when another writer is faster.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Append, ChainReport, Frame, Log, LogEntry, LogError, LogStats, Position, ReadLog, frame,
};
use crate::metrics::Histogram;

/// A log in memory.
pub(crate) struct MemoryLog {
    frames: Mutex<Vec<Arc<Frame>>>,
    moved: Condvar,
    /// Called before each append, without a lock: other writers may append meanwhile.
    before_append: Box<dyn Fn() + Send + Sync>,
}

impl MemoryLog {
    pub(crate) fn new(before_append: impl Fn() + Send + Sync + 'static) -> Self {
        let frames = Mutex::default();
        Self { frames, moved: Condvar::new(), before_append: Box::new(before_append) }
    }

    fn frames(&self) -> MutexGuard<'_, Vec<Arc<Frame>>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All frames.
    pub(crate) fn all(&self) -> Vec<Arc<Frame>> {
        self.frames().clone()
    }
}

fn head(frames: &[Arc<Frame>]) -> Position {
    frames.last().map_or_else(Position::default, |last| last.position())
}

impl Log for MemoryLog {
    fn append(&self, group: Vec<LogEntry>, expected: Position) -> Result<Append, LogError> {
        (self.before_append)();
        let mut frames = self.frames();
        let mut last = head(&frames);
        if last != expected {
            return Ok(Append::Moved(last));
        }
        let first = last.sequence + 1;
        let mut appended = Vec::new();
        for entry in group {
            let frame = frame::make(entry, last, first, &mut Vec::new())?;
            last = frame.position();
            appended.push(Arc::new(frame));
        }
        frames.extend(appended.iter().cloned());
        self.moved.notify_all();
        Ok(Append::Done(appended))
    }

    fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position {
        let behind = |frames: &mut Vec<Arc<Frame>>| head(frames).sequence <= sequence;
        let waited = self.moved.wait_timeout_while(self.frames(), patience, behind);
        head(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn close(&self) {}

    fn is_shared(&self) -> bool {
        true
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn trim(&self, _upto: u64, _made_before: Timestamp) -> Result<usize, LogError> {
        Ok(0)
    }

    fn stats(&self) -> LogStats {
        LogStats { bytes: None, syncs: Histogram::new(&[1]).counts() }
    }
}

impl ReadLog for MemoryLog {
    fn identity(&self) -> [u8; 16] {
        [9; 16]
    }

    fn head(&self) -> Position {
        head(&self.frames())
    }

    fn start(&self) -> Result<Position, LogError> {
        Ok(Position::default())
    }

    fn read(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let frames = self.frames().get(after as usize..).unwrap_or_default().to_vec();
        let _ = frames.into_iter().try_for_each(visit);
        Ok(())
    }

    fn before(&self, _moment: Timestamp) -> Result<u64, LogError> {
        Ok(0)
    }

    fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError> {
        let frames = self.frames();
        let last = frames.iter().rfind(|frame| frame.head.time < moment);
        Ok(last.map(|frame| frame.sequence))
    }

    fn before_part_of(&self, _sequence: u64) -> Result<u64, LogError> {
        Ok(0)
    }

    fn verify(
        &self,
        _anchors: &[Position],
        _fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        Ok(ChainReport::default())
    }
}
