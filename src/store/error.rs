//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::log::LogError;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An earlier error makes it unknown what is on disk; a restart finds out.
    #[error("writing has stopped after an earlier storage error; restart scimd to recover")]
    Stopped,
    /// The data folder was opened for reading.
    #[error("the data directory is open read-only")]
    ReadOnly,
    /// Little room is left on the disk. Nothing was touched, and once there is more all goes on.
    #[error("the disk has {left_mib} MiB left, but {needed_mib} are needed; free disk space")]
    Full {
        /// How much is left.
        left_mib: u64,
        /// How much is needed.
        needed_mib: u64,
    },
    /// The system does not say how much room is left on the disk. Nothing was touched, and once it does all goes on.
    #[error("can't determine the free disk space: {reason}; check the disk")]
    RoomUnknown {
        /// What it says instead.
        reason: String,
    },
    /// Too few files can be opened. Nothing was touched, and once there are more all goes on.
    #[error("too few files can be opened at the moment; changes resume once some are closed")]
    NoFiles,
    /// The database that holds the log does not answer. The change may or may not be made.
    #[error(
        "the database that holds the log does not answer ({reason}); the change may or may not have been made: \
         read before sending it again"
    )]
    Unavailable {
        /// What happened.
        reason: String,
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
    /// This user may not use the data folder.
    #[error("{0}")]
    Denied(String),
    /// The command that reads has used up its budget; a sentence for the client. No store answers it.
    #[error("{0}")]
    OverBudget(String),
}

impl StoreError {
    /// The error for those who wait for a change that could not be committed.
    pub(crate) fn for_waiting(&self) -> Self {
        match self {
            Self::Full { left_mib, needed_mib } => {
                Self::Full { left_mib: *left_mib, needed_mib: *needed_mib }
            }
            Self::RoomUnknown { reason } => Self::RoomUnknown { reason: reason.clone() },
            Self::NoFiles => Self::NoFiles,
            Self::Unavailable { reason } => Self::Unavailable { reason: reason.clone() },
            _ => Self::Stopped,
        }
    }

    /// Whether the database that holds the log does not answer, for the moment.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// The record at a key is not what was stored.
    pub fn damaged(key: &[u8]) -> Self {
        Self::Damaged { key: HEXLOWER.encode(key) }
    }

    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }
}
