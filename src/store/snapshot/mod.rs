//! A snapshot: all state as of one change, in a file that needs nothing else to be read.
//!
//! ```text
//! file  = "SCIMDS" 0 1 | block* | SHA-256 of all that [32]
//! block = length of the body u32 | CRC-32C of the body u32 | body
//! body  = 0 | identity of the journal [16] | when it was taken, milliseconds since 1970, i64
//!       | 1 | write*                                        as in a frame of the journal
//!       | 2 | number u64 | its hash [32] | how many writes there are u64
//! ```
//!
//! Numbers are little-endian. The first block is of kind 0, the last of kind 2. The writes in between,
//! carried out in order, make the state as of that change.
//!
//! Taking a snapshot blocks nothing: it holds each key as it was read while changes continued,
//! followed by the log of those changes, which are absolute: applying them again has no effect.

mod read;
mod write;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::log::Position;

pub(super) use read::{load, outline};
pub(super) use write::take;

const MAGIC: [u8; 8] = *b"SCIMDS\x00\x01";
const BEGIN: u8 = 0;
const WRITES: u8 = 1;
const END: u8 = 2;
/// How many bytes stand before a block's body.
const PREFIX_BYTES: usize = 8;
const BEGIN_BYTES: usize = 1 + 16 + 8;
const END_BYTES: usize = 1 + 8 + 32 + 8;
/// The largest body: as large as a change in the journal may be.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The description in the first and the last block of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it is.
    pub path: PathBuf,
    /// The journal that it was taken from.
    pub identity: [u8; 16],
    /// When it was taken.
    pub taken: Timestamp,
    /// The change up to which it holds the state.
    pub position: Position,
    /// How many writes are in it.
    pub writes: u64,
}

impl Snapshot {
    /// The name of its file.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A snapshot that was read to its end and is whole.
#[derive(Clone, Debug)]
pub struct VerifiedSnapshot {
    /// What it says of itself.
    pub snapshot: Snapshot,
    /// How many bytes it has.
    pub bytes: u64,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

#[cfg(test)]
mod tests;
