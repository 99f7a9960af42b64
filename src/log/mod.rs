//! The log: every change, in order, durable before it is acknowledged.
//!
//! The log is a sequence of frames. A frame is one change: who made it, when, why, and the keys that
//! it sets and removes. Each frame holds the hash of the one before it, so that an altered, removed or
//! inserted frame shows. State, caches, audit trail and recovery all follow the log.
//!
//! [`Log::append`] is the only way to change anything: it names the position that the writer has seen,
//! and does nothing if the log has moved on since. So several writers can share one log without any
//! other precondition. [`local`] keeps the log in files of the data folder; [`postgres`] in a table that
//! several nodes share, with a copy in files on each.

mod append;
mod error;
mod frame;
pub mod local;
#[cfg(test)]
pub(crate) mod memory;
mod position;
pub mod postgres;
mod read;
mod recent;

use append::shown_node;
pub use append::{Append, FormatRaise, Lease, Log, LogNode, LogStats, SnapshotFile};
pub use error::LogError;
pub use frame::{Frame, LogEntry, Write, decode_writes, encode_write};
pub use position::{Hash, MAX_SEQUENCE, Position};
pub use read::{ChainReport, ReadLog, try_read};
