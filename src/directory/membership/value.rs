//! A membership as it is stored with its group: the member's type, its name, and perhaps a stamp.
//!
//! The stamp is that of the marker under which the membership was written: see [`super::void`].

use bytes::Bytes;
use jiff::Timestamp;
use uuid::ContextV7;

use crate::scim::resource::ResourceId;

/// How many characters of a member's name are stored with the membership.
const MAX_DISPLAY: usize = 256;
/// What stands between name and stamp: a byte that no text in UTF-8 contains.
const BETWEEN: u8 = 0xff;
/// How many bytes a stamp has.
pub(super) const STAMP: usize = 16;

/// What tells a marker from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([u8; STAMP]);

impl Stamp {
    /// A stamp that no other marker has.
    pub(super) fn unique(now: Timestamp) -> Self {
        Self(*ResourceId::generate(&ContextV7::new(), now).as_bytes())
    }

    pub(super) fn as_bytes(&self) -> &[u8; STAMP] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: [u8; STAMP]) -> Self {
        Self(bytes)
    }
}

/// The value of a membership.
pub(super) fn encode(tag: u8, display: &str, stamp: Option<Stamp>) -> Bytes {
    let display: String = display.chars().take(MAX_DISPLAY).collect();
    let mut value = [&[tag], display.as_bytes()].concat();
    if let Some(Stamp(stamp)) = stamp {
        value.push(BETWEEN);
        value.extend_from_slice(&stamp);
    }
    value.into()
}

/// Where the name ends.
fn name_end(value: &[u8]) -> usize {
    match value.len().checked_sub(STAMP + 1) {
        Some(end) if value.get(end) == Some(&BETWEEN) => end,
        _ => value.len(),
    }
}

/// The name of the member.
pub(crate) fn display(value: &[u8]) -> &str {
    // What is stored was a text.
    std::str::from_utf8(value.get(1..name_end(value)).unwrap_or_default()).unwrap_or_default()
}

/// The stamp of the marker under which the membership was written, if there was one.
pub(super) fn stamp(value: &[u8]) -> Option<Stamp> {
    let stamp = value.get(name_end(value) + 1..)?;
    stamp.try_into().ok().map(Stamp)
}

/// The value without its stamp.
pub(crate) fn unstamped(value: &Bytes) -> Bytes {
    value.slice(..name_end(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_with_and_without_a_stamp() {
        let stamps = [0, 0, 1].map(|second| Stamp::unique(Timestamp::from_second(second).unwrap()));
        assert!(stamps[0] != stamps[1], "also at the same moment");
        let long = "\u{20ac}".repeat(MAX_DISPLAY + 1);
        for name in ["", "A", "seventeen bytes..", &long] {
            let shown: String = name.chars().take(MAX_DISPLAY).collect();
            let plain = encode(1, name, None);
            assert_eq!((display(&plain), stamp(&plain)), (shown.as_str(), None));
            for one in stamps {
                let value = encode(1, name, Some(one));
                assert_eq!((display(&value), stamp(&value)), (shown.as_str(), Some(one)));
                assert_eq!(unstamped(&value), plain);
            }
        }
        assert_eq!((display(b""), stamp(b"")), ("", None));
    }
}
