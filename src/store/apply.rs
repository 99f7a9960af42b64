//! The side of a store that follows the log: [`Store`].

use std::sync::Arc;

use super::error::StoreError;
use super::maintenance::Maintenance;
use super::read::Read;
use super::stats::StoreStats;
use super::version::StateVersion;
use crate::log::{Frame, Position};

/// State that follows a log.
///
/// One thread applies frames; every other method may be called from any thread.
pub trait Store: Read {
    /// The position of the log that the state has reached.
    fn applied(&self) -> Position;

    /// Applies frames that follow [`Store::applied`]: readers see all of their writes or none.
    ///
    /// # Errors
    ///
    /// Any error stops the store for good: a restart brings the state in line with the log again.
    fn apply(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError>;

    /// The state as it is now, for as long as it is held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] if the store only reads.
    fn version(&self) -> Result<StateVersion, StoreError> {
        Err(StoreError::Unsupported("versions"))
    }

    /// Whether frames may be appended to the log and applied here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if too little space is left on the disk, [`StoreError::NoFiles`] if too few files can be
    /// opened, [`StoreError::Stopped`].
    fn check_writable(&self) -> Result<(), StoreError>;

    /// The same for frames that only take access away, which may use a reserve of disk space.
    ///
    /// # Errors
    ///
    /// As [`Store::check_writable`].
    fn check_reserve(&self) -> Result<(), StoreError> {
        self.check_writable()
    }

    /// Whether nothing can be applied, for good or for want of disk space.
    fn is_stopped(&self) -> bool;

    /// The store in figures.
    fn stats(&self) -> StoreStats;

    /// Loads the next part of the read cache; returns whether there may be more. For the thread that
    /// applies frames, in between.
    fn warm_up(&self) -> bool;

    /// Snapshots, checks and the like, if the state is kept on this machine.
    fn maintenance(&self) -> Option<&dyn Maintenance>;
}
