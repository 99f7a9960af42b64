//! Current state and how it changes: the seam between what scimd does and how bytes are kept.
//!
//! Above this floor state is keys and values ([`keys`] says which). A change names the keys that it
//! expects to be as they were, the keys that it sets and removes, and the event that it is. A group of
//! changes is committed at once; when [`Store::commit`] returns, what it accepted survives a loss of
//! power.
//!
//! [`local::LocalStore`] keeps state in this machine's data folder: the journal acknowledges, sled
//! keeps, memory answers questions. A store that several appliances share would be another implementation, with the
//! expectations checked inside its transaction.

pub mod backup;
pub mod change_log;
pub mod check;
mod database;
mod disk_space;
mod engine;
pub mod folder;
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

use bytes::Bytes;
use data_encoding::HEXLOWER;

use crate::event::Head;
use crate::log::LogError;
pub use crate::log::Write;
use change_log::ChangeLog;
use maintenance::Maintenance;
use point_in_time::PointInTime;

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
    /// The journal could not be read or written.
    #[error("the journal failed")]
    Journal(#[from] LogError),
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

/// What a change takes for granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The key has no value.
    Absent(Vec<u8>),
    /// The key holds a record of this version.
    Version(Vec<u8>, u64),
}

/// A change: all of it happens, or none.
#[derive(Clone, Debug)]
pub struct Change {
    /// What must hold for it to happen.
    pub expectations: Vec<Expectation>,
    /// The keys that it sets and removes.
    pub writes: Vec<Write>,
    /// Who makes it, when, and what it is.
    pub head: Head,
}

/// A change did not happen, because an expectation does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict;

/// State that can change.
pub trait Store: Read + Maintenance + PointInTime {
    /// Commits a group of changes, each in order and on its own; answers for each whether it happened.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]: nothing happened. Any other error stops writing for good: whether the
    /// group will be there after a restart is unknown.
    fn commit(&self, group: Vec<Change>) -> Result<Vec<Result<(), Conflict>>, StoreError>;

    /// Gets on for a moment with what makes reading quicker; whether there may be more of that. For the
    /// thread that commits, in between.
    fn warm_up(&self) -> bool;

    /// The state as it is kept, whatever is held in memory to answer more quickly.
    fn at_rest(&self) -> &dyn Read;

    /// The changes that were made.
    fn trail(&self) -> &dyn ChangeLog;

    /// What tells this store from any other; known to nobody outside.
    fn identity(&self) -> [u8; 16];

    /// Whether nothing can be written, be it for good or for want of room.
    fn is_stopped(&self) -> bool;
}
