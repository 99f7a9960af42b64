//! The changes that were made, for those who read them later: the audit trail.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::StoreError;
use crate::log::local::{ChainReport, LogFiles};
use crate::log::{Frame, LogError, Position};

/// The changes of a store in order, each tied to the one before it by its hash. Whoever reads them waits
/// for nobody, and nobody for him.
pub trait ChangeLog: Send + Sync {
    /// What the first change that is still there follows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Journal`] if it can't be read.
    fn begin(&self) -> Result<Position, StoreError>;

    /// The last change.
    fn end(&self) -> Position;

    /// A change behind which all stand that were made at a moment or later.
    ///
    /// # Errors
    ///
    /// [`StoreError::Journal`] if it can't be read.
    fn before(&self, moment: Timestamp) -> Result<u64, StoreError>;

    /// From where on it is best read to get at the changes just before and including the given one: the
    /// change before a part of bounded size.
    ///
    /// # Errors
    ///
    /// [`StoreError::Journal`] if it can't be read.
    fn before_part_of(&self, sequence: u64) -> Result<u64, StoreError>;

    /// Visits every change after the given one that is on disk by now, in order, until `visit` breaks
    /// off. One file of the journal is in memory at a time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Journal`] if it can't be read back that far or is damaged; what `visit` answers.
    fn follow(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Frame) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError>;

    /// Checks that the chain is whole and passes through the anchors, and tells each fault.
    ///
    /// # Errors
    ///
    /// [`StoreError::Journal`] if it can't be read at all.
    fn check(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, StoreError>;
}

impl ChangeLog for LogFiles {
    fn begin(&self) -> Result<Position, StoreError> {
        Ok(self.begin()?)
    }

    fn end(&self) -> Position {
        self.end()
    }

    fn before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        Ok(self.before(moment)?)
    }

    fn before_part_of(&self, sequence: u64) -> Result<u64, StoreError> {
        Ok(self.before_file_of(sequence)?)
    }

    fn follow(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Frame) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let followed = self.follow(after, |frame| match visit(frame) {
            Ok(ControlFlow::Continue(())) => Ok(()),
            Ok(ControlFlow::Break(())) => Err(Stop::Enough),
            Err(error) => Err(Stop::Failed(error)),
        });
        match followed {
            Ok(()) | Err(Stop::Enough) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn check(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, StoreError> {
        Ok(self.check(anchors, fault)?)
    }
}

/// Why reading stopped before the end.
enum Stop {
    Enough,
    Failed(StoreError),
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Self::Failed(error.into())
    }
}
