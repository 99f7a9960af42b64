//! Current state, which follows the log.
//!
//! Above this floor state is keys and values ([`keys`] says which). Nothing changes state but frames of
//! the log: [`Store::apply`] takes them once they are durable. State can always be rebuilt from the log
//! and its snapshots.
//!
//! [`local::LocalStore`] keeps state in the data folder: sled stores it, memory answers reads.

pub mod backup;
pub mod check;
mod database;
mod disk_space;
mod engine;
pub mod folder;
pub mod follow;
pub mod inspect;
pub mod keys;
pub mod local;
pub mod maintenance;
mod memory;
pub mod overlay;
pub mod point_in_time;
pub mod read_only;
mod rebuild;
pub mod record;
pub mod snapshot;
mod snapshots;
mod state;
pub mod stats;
mod watchdog;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;

pub use crate::log::Write;
use crate::log::{Frame, LogError, Position};
use maintenance::Maintenance;
use stats::StoreStats;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An earlier error makes it unknown what is on disk; a restart finds out.
    #[error("writing has stopped after an earlier storage error; restart scimd to recover")]
    Stopped,
    /// The data folder was opened for reading.
    #[error("the data folder is open for reading only")]
    ReadOnly,
    /// Little room is left on the disk. Nothing was touched, and once there is more all goes on.
    #[error("the disk has {left_mib} MiB left, and {needed_mib} are needed; make room")]
    Full {
        /// How much is left.
        left_mib: u64,
        /// How much is needed.
        needed_mib: u64,
    },
    /// The log could not be read or written.
    #[error("the journal failed")]
    Log(#[from] LogError),
    /// The store has no snapshots and no maintenance of its own.
    #[error("this store keeps no state on this machine, so it has no {0}")]
    Unsupported(&'static str),
    /// The database failed.
    #[error("the database can't {action}: {reason}")]
    Engine {
        /// What was tried.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// A value is not what was stored.
    #[error("the record at key {key} is damaged; restart scimd to rebuild the database")]
    Damaged {
        /// Its key, in hexadecimal.
        key: String,
    },
    /// A snapshot or a backup is not what was written, or is of another journal.
    #[error("{} can't be used: {reason}", path.display())]
    Snapshot {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("can't {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The data folder can't be used.
    #[error("{0}")]
    Folder(String),
    /// The command that reads has used up its budget; a sentence for the client. No store answers it.
    #[error("{0}")]
    OverBudget(String),
}

impl StoreError {
    /// The record at a key is not what was stored.
    pub fn damaged(key: &[u8]) -> Self {
        Self::Damaged { key: HEXLOWER.encode(key) }
    }

    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}

/// Reading state.
pub trait Read: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if it could not be read, [`StoreError::Damaged`] if it is not what was
    /// stored.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Visits the keys that begin with `prefix` in order, those above `after` if it is given, until
    /// `visit` breaks off. Values are not checked; [`Read::get`] checks, and remembers damage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if a key could not be read.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;
}

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

    /// Whether frames may be appended to the log and applied here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if too little space is left on the disk, [`StoreError::Stopped`].
    fn check_writable(&self) -> Result<(), StoreError>;

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
