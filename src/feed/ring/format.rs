//! The format of the files: names, headers, records.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::feed::cursor::FeedId;
use crate::feed::event::EventType;
use crate::log::Hash;

/// How many changes a file holds, as a power of two.
const CHANGES_SHIFT: u32 = if cfg!(test) { 6 } else { 14 };
const MAGIC: &[u8; 8] = b"scimdfd1";
pub(super) const HEADER_BYTES: usize = 8 + 8 + 8 + 4;
pub(super) const PREFIX_BYTES: usize = 8;
/// The index of the record that ends a change.
pub(super) const END: u32 = u32::MAX;
const SUFFIX: &str = ".events";
/// How many bytes a body may have; a longer length is damage.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The number of the file that holds a change.
pub(super) fn file_of(sequence: u64) -> u64 {
    sequence >> CHANGES_SHIFT
}

/// The last change that a file can hold.
pub(super) fn last_of(number: u64) -> u64 {
    (number << CHANGES_SHIFT) | ((1 << CHANGES_SHIFT) - 1)
}

/// Where a file is.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}{SUFFIX}"))
}

/// The number of the file of that name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

/// The first bytes of a file that follows a change.
pub(super) fn header(feed: FeedId, after: u64) -> Vec<u8> {
    let mut header = [MAGIC.as_slice(), &feed.0, &after.to_le_bytes()].concat();
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header
}

/// Which change a file of a feed follows; `None` if it is not the beginning of such a file.
pub(super) fn read_header(bytes: &[u8], feed: FeedId) -> Option<u64> {
    let bytes = bytes.get(..HEADER_BYTES)?;
    let after = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    (bytes == header(feed, after)).then_some(after)
}

/// One record, as it stands in bytes that were read.
#[derive(Debug)]
pub(in crate::feed) struct RingRecord<'a> {
    pub(in crate::feed) sequence: u64,
    pub(in crate::feed) index: u32,
    /// `None` for the end of a change.
    pub(in crate::feed) event_type: Option<EventType>,
    pub(in crate::feed) connection: &'a [u8],
    pub(in crate::feed) changed: &'a [u8],
    /// Where its event, or the hash of its frame, is in the bytes.
    pub(in crate::feed) payload: Range<usize>,
}

/// What stands at the beginning of some bytes.
pub(super) enum Parsed<'a> {
    /// A record of that many bytes.
    Record(RingRecord<'a>, usize),
    /// More bytes are needed, as many in all.
    Short(usize),
    /// No record.
    Damaged,
}

pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let number = |at: usize| {
        let field = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(field))
    };
    let (Some(length), Some(checksum)) = (number(0), number(4)) else {
        return Parsed::Short(PREFIX_BYTES);
    };
    let length = length as usize;
    if !(13..=MAX_BODY_BYTES).contains(&length) {
        return Parsed::Damaged;
    }
    let whole = PREFIX_BYTES + length;
    let Some(body) = bytes.get(PREFIX_BYTES..whole) else { return Parsed::Short(whole) };
    if crc32c::crc32c(body) != checksum {
        return Parsed::Damaged;
    }
    match parse_body(body, whole) {
        Some(record) => Parsed::Record(record, whole),
        None => Parsed::Damaged,
    }
}

/// The record that begins at a place in bytes that were never outside of memory, and its length; `None` at their end.
pub(super) fn known_record(bytes: &[u8], at: usize) -> Option<(RingRecord<'_>, usize)> {
    let bytes = bytes.get(at..)?;
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let whole = PREFIX_BYTES + length;
    Some((parse_body(bytes.get(PREFIX_BYTES..whole)?, whole)?, whole))
}

fn parse_body(body: &[u8], whole: usize) -> Option<RingRecord<'_>> {
    let (sequence, rest) = body.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (code, rest) = rest.split_first()?;
    let (sequence, index) = (u64::from_le_bytes(*sequence), u32::from_le_bytes(*index));
    if index == END {
        let payload = whole - rest.len()..whole;
        let empty = &[];
        return Some(RingRecord {
            sequence,
            index,
            event_type: None,
            connection: empty,
            changed: empty,
            payload,
        });
    }
    let event_type = Some(EventType::of_code(*code)?);
    let (length, rest) = rest.split_first()?;
    let (connection, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first_chunk()?;
    let (changed, event) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let payload = whole - event.len()..whole;
    Some(RingRecord { sequence, index, event_type, connection, changed, payload })
}

/// The end of a change, as it stands in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::feed) struct ChangeEnd {
    pub(in crate::feed) sequence: u64,
    pub(in crate::feed) hash: Hash,
}
