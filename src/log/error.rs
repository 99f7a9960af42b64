//! What can go wrong with the log.

use std::io;
use std::path::{Path, PathBuf};

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
    /// The database that holds the log does not answer. What was sent to it may or may not be done.
    #[error("the database can't be used: {0}")]
    Unavailable(String),
    /// The database is not one that this log may be in.
    #[error("{0}")]
    Database(String),
    /// The database no longer keeps what comes after the last change of this node.
    #[error(
        "the database no longer keeps the change after {0}, the last that this node has; restart the node, so that it \
         begins from the newest snapshot there"
    )]
    Trimmed(u64),
    /// The log was opened for reading.
    #[error("the log was opened for reading")]
    ReadOnly,
    /// An earlier error makes it unknown where the log ends; a restart finds out.
    #[error("the log has stopped after an earlier error; restart scimd to recover")]
    Stopped,
}

impl LogError {
    /// Whether files could not be opened for the moment, so that nothing was written.
    pub fn is_momentary(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
        too_many.iter().any(|errno| source.raw_os_error() == Some(errno.raw_os_error()))
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
