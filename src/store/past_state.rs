//! State that follows the log from an earlier position on, in memory alone.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::memory::{HeldUpTo, Memory, scan_held};
use super::snapshot::{self, Snapshot};
use super::{Read, StoreError};
use crate::log::{Frame, Position, ReadLog};

/// The state at a position of the log, all of it in memory: it takes as much as the state has bytes.
pub struct PastState {
    position: Position,
    memory: Memory,
}

impl PastState {
    /// The oldest state that the log follows: nothing, if it was never trimmed, or else that of a snapshot.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if no snapshot can be used that the log reaches back to.
    pub(super) fn oldest(log: &dyn ReadLog, snapshots: Vec<Snapshot>) -> Result<Self, StoreError> {
        let begin = log.start()?;
        if begin.sequence == 0 {
            return Ok(Self::empty(begin));
        }
        let kept = begin.sequence..=log.head().sequence;
        // After a restore the log begins behind a snapshot of another log: that of the backup.
        let usable = |Snapshot { identity, position, .. }: &Snapshot| {
            *position == begin || (*identity == log.identity() && kept.contains(&position.sequence))
        };
        for snapshot in snapshots.into_iter().rev().filter(usable) {
            let state = Self::empty(snapshot.position);
            let loaded = snapshot::load(&snapshot.path, |writes| {
                state.memory.apply(writes.iter());
                Ok(())
            });
            match loaded {
                Ok(_) => return Ok(state),
                Err(error) => {
                    tracing::error!(%error, "a snapshot can't be used and is passed over for a newer one");
                }
            }
        }
        Err(StoreError::Folder(format!(
            "the journal begins with change {}, and no snapshot can be used that it follows",
            begin.sequence + 1
        )))
    }

    fn empty(position: Position) -> Self {
        let memory = Memory::new(usize::MAX);
        memory.extend(&[], HeldUpTo::End);
        Self { position, memory }
    }

    /// The last change that the state includes.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Follows the log by frames that come next.
    pub fn apply(&mut self, frames: &[Arc<Frame>]) {
        if let Some(last) = frames.last() {
            self.memory.apply(frames.iter().flat_map(|frame| &frame.writes));
            self.position = last.position();
        }
    }
}

impl Read for PastState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.memory.get(key).flatten())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        scan_held(&|from| self.memory.place(from, prefix), prefix, after, visit);
        Ok(())
    }
}
