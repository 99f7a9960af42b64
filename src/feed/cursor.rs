//! Cursors: places in the feed, as text.
//!
//! A cursor names the feed, the change, and the event of the change. The id of an event is the cursor behind it. A
//! cursor without an event stands behind all events of its change.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::text::{InvalidText, excerpt};

/// What is hashed before the identity of the log, which is a secret.
const CONTEXT: &[u8] = b"scimd feed\0";

/// The identity of a feed: that of its log, in a form that consumers may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FeedId(pub(super) [u8; 8]);

impl FeedId {
    /// The feed of a log.
    pub(super) fn of_log(identity: [u8; 16]) -> Self {
        let hash = Sha256::new().chain_update(CONTEXT).chain_update(identity).finalize();
        Self(hash.first_chunk().copied().unwrap_or_default())
    }
}

/// A place in the feed: behind one event, or behind all events of a change.
///
/// Cursors of one feed are in the order of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub(super) feed: FeedId,
    pub(super) sequence: u64,
    /// The event of the change; [`Cursor::ALL`] behind all of them.
    pub(super) index: u32,
}

impl Cursor {
    /// Behind all events of a change.
    pub(super) const ALL: u32 = u32::MAX;

    pub(super) fn behind_all(feed: FeedId, sequence: u64) -> Self {
        Self { feed, sequence, index: Self::ALL }
    }

    /// The record of the feed that it stands behind.
    pub(super) fn place(&self) -> (u64, u32) {
        (self.sequence, self.index)
    }

    /// Parses the text form of a cursor.
    ///
    /// # Errors
    ///
    /// A sentence for the consumer.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        Self::read(text).ok_or_else(|| {
            InvalidText::new(format!(
                "\"{}\" is no cursor. Use the value of \"next\" or the id of an event, unchanged.",
                excerpt(text, 64)
            ))
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let feed = HEXLOWER.decode(parts.next()?.as_bytes()).ok()?.try_into().ok()?;
        let sequence = number(parts.next()?)?;
        let index = match parts.next() {
            Some(index) => u32::try_from(number(index)?).ok().filter(|index| *index < Self::ALL)?,
            None => Self::ALL,
        };
        parts.next().is_none().then_some(Self { feed: FeedId(feed), sequence, index })
    }

    /// The change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// A number in the one way that it is written.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", HEXLOWER.encode(&self.feed.0), self.sequence)?;
        match self.index {
            Self::ALL => Ok(()),
            index => write!(f, ".{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_text_and_cursors_are_in_order() {
        let feed = FeedId([0xab; 8]);
        let all = Cursor::behind_all(feed, 7);
        let cursors = [Cursor { index: 0, ..all }, Cursor { index: 12, ..all }, all];
        let texts = ["abababababababab.7.0", "abababababababab.7.12", "abababababababab.7"];
        for (cursor, text) in cursors.into_iter().zip(texts) {
            assert_eq!(cursor.to_string(), text);
            assert_eq!(Cursor::parse(text).unwrap(), cursor);
        }
        assert!(cursors.is_sorted() && all < Cursor { sequence: 8, index: 0, feed });
        let last = format!("abababababababab.7.{}", u32::MAX);
        for text in ["", "7", "ab.7", "abababababababab.", "abababababababab.+7", &last] {
            assert!(Cursor::parse(text).is_err(), "{text}");
        }
        for text in ["ABababababababab.7", "abababababababab.07", "abababababababab.7.0.1", "é"] {
            let error = Cursor::parse(text).unwrap_err().to_string();
            assert!(error.contains("is no cursor"), "{error}");
        }
        assert_ne!(FeedId::of_log([1; 16]), FeedId::of_log([2; 16]));
    }
}
