//! A place in the log.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// The SHA-256 of a frame's body; zeros before the first frame.
pub type Hash = [u8; 32];

/// The highest number of a change that is taken from a file: whatever is added to it is a number as well. No log
/// comes near it.
pub const MAX_SEQUENCE: u64 = 1 << 62;

/// A position in a log: the number and the hash of a change. The hash covers all changes before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The change's number; 0 before the first.
    pub sequence: u64,
    /// The hash of its frame; zeros before the first.
    pub hash: Hash,
}

impl Position {
    /// Reads `SEQUENCE:HASH`, as it is displayed; `None` if it is not like that.
    pub fn parse(text: &str) -> Option<Self> {
        let (sequence, hex) = text.split_once(':')?;
        let hash = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()?;
        let is_number = sequence.bytes().all(|byte| byte.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| is_number)?;
        Some(Self { sequence, hash })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, HEXLOWER.encode(&self.hash))
    }
}
