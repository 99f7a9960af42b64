//! The log: every change, in order, durable before it is acknowledged.
//!
//! The log is a sequence of frames. A frame is one change: who made it, when, why, and the keys that
//! it sets and removes. Each frame holds the hash of the one before it, so that an altered, removed or
//! inserted frame shows. State, audit trail and recovery all read the log.
//!
//! [`local`] keeps the log in files of the data folder.

mod frame;
pub mod local;
mod position;

use std::io;
use std::path::{Path, PathBuf};

pub use frame::{Frame, Hash, Write, decode_writes, encode_write};
pub use position::Position;

use crate::event::Head;

/// What can go wrong with the journal.
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
}

impl LogError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// One change to be journaled.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Who, when and what.
    pub head: Head,
    /// The keys that it sets and removes.
    pub writes: Vec<Write>,
}
