//! A snapshot: all state as of one change, in a file that needs nothing else to be read.
//!
//! ```text
//! file  = "SCIMDS" 0 2 | block* | SHA-256 of all that [32] | signature?
//! block = length of the body u32 | CRC-32C of the body u32 | body
//! body  = 0 | identity of the journal [16] | when it was taken, milliseconds since 1970, i64
//!       | 3 | length of the writes u32 | one zstd frame: write+       as in a frame of the journal
//!       | 2 | number u64 | its hash [32] | how many writes there are u64
//! signature = "SCIMDSIG" | when it was signed, milliseconds since 1970, i64 | Ed25519 [64]
//! ```
//!
//! Numbers are little-endian. Backups alone are signed. The first block is of kind 0, the last of kind 2. The writes in between,
//! carried out in order, make the state as of that change.
//!
//! Format 1, which is still read, has 1 in place of the 2 behind "SCIMDS" 0, and plain writes in blocks `1 | write*` in place of
//! those of kind 3.
//!
//! Taking a snapshot blocks nothing: it holds each key as it was read while changes continued,
//! followed by the log of those changes, which are absolute: applying them again has no effect.

mod read;
mod write;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::clock::rfc3339;
use crate::log::Position;
use crate::store::StoreError;
use crate::store::signing::{SIGNATURE_BYTES, Signature, SigningKey, VerifyingKey};

pub(super) use read::{load, load_from, outline};
pub(super) use write::take;

/// What begins a file; the format follows.
const MAGIC: [u8; 7] = *b"SCIMDS\x00";
/// The format of snapshots and backups that are written; the earlier one is read as well.
pub const FORMAT: u8 = 2;
const FORMAT_UNCOMPRESSED: u8 = 1;
const BEGIN: u8 = 0;
/// Plain writes, in [`FORMAT_UNCOMPRESSED`] alone.
const WRITES: u8 = 1;
const END: u8 = 2;
/// Compressed writes, from [`FORMAT`] on.
const COMPRESSED_WRITES: u8 = 3;
/// What begins the signature of a backup, behind everything else.
const SIGNATURE_MAGIC: [u8; 8] = *b"SCIMDSIG";
/// The magic, when it was signed (milliseconds since 1970, i64), and the signature.
const SIGNATURE_BLOCK_BYTES: usize = 8 + 8 + SIGNATURE_BYTES;
/// How many bytes stand before a block's body.
const PREFIX_BYTES: usize = 8;
const BEGIN_BYTES: usize = 1 + 16 + 8;
const END_BYTES: usize = 1 + 8 + 32 + 8;
/// The largest body, and the most that the writes of one block take before compression: as large as a change in the
/// journal may be.
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
    /// How many bytes it has, without a signature.
    pub bytes: u64,
    /// The SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
    /// The signature, if it is a backup that has one.
    pub signature: Option<BackupSignature>,
    /// The SHA-256 of the file with its signature, in hexadecimal.
    pub file_sha256: String,
}

/// The signature of a backup: over its position in the log, and all that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSignature {
    time: Timestamp,
    signature: Signature,
}

impl BackupSignature {
    /// Signs a snapshot whose SHA-256 is known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the key can't be used.
    pub(super) fn new(
        key: &SigningKey,
        position: Position,
        sha256: &str,
        time: Timestamp,
    ) -> Result<Self, StoreError> {
        Ok(Self { time, signature: key.sign(&message(position, time, sha256))? })
    }

    /// Whether a key has signed this snapshot.
    pub(super) fn fits(&self, whole: &VerifiedSnapshot, key: &VerifyingKey) -> bool {
        let message = message(whole.snapshot.position, self.time, &whole.sha256);
        key.verifies(&message, &self.signature)
    }

    /// The bytes behind the snapshot.
    pub(super) fn encode(&self) -> Vec<u8> {
        let time = self.time.as_millisecond().to_le_bytes();
        [&SIGNATURE_MAGIC[..], &time, &self.signature].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (time, signature) = bytes.strip_prefix(&SIGNATURE_MAGIC)?.split_at_checked(8)?;
        let time = Timestamp::from_millisecond(i64::from_le_bytes(time.try_into().ok()?)).ok()?;
        Some(Self { time, signature: signature.try_into().ok()? })
    }
}

fn message(position: Position, time: Timestamp, sha256: &str) -> String {
    format!("scimd backup 1\n{position}\n{}\n{sha256}\n", rfc3339(time))
}

#[cfg(test)]
mod tests;
