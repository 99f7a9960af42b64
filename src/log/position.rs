//! A place in the log.

use std::fmt;

use super::Hash;

/// A place in a journal: a change by its number, and its hash, which speaks for all before it.
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
        let digits = |text: &str, wanted: fn(&u8) -> bool| text.as_bytes().iter().all(wanted);
        if hex.len() != 64 || !digits(hex, u8::is_ascii_hexdigit) {
            return None;
        }
        let mut hash = Hash::default();
        for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        let sequence = sequence.parse().ok().filter(|_| digits(sequence, u8::is_ascii_digit))?;
        Some(Self { sequence, hash })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.sequence)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
