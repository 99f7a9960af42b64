//! One change as bytes.
//!
//! ```text
//! frame = length u32 | CRC-32C of body u32 | body
//! body  = sequence u64 | group u64 | hash of the previous body [32]
//!       | head length u32 | head (JSON) | write*
//! write = 1 | key length u32 | key | value length u32 | value        set a key
//!       | 0 | key length u32 | key                                   remove a key
//! ```
//!
//! Numbers are little-endian. `group` is the sequence of the first frame that was synced together
//! with this one: it tells a write that was cut short from damage to what had been acknowledged.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::error::LogError;
use super::position::{Hash, Position};
use crate::event::Head;

/// How many bytes stand before a frame's body.
pub(super) const PREFIX_BYTES: usize = 8;
/// How many bytes a body may have; a longer length is damage.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
const FIXED_BYTES: usize = 8 + 8 + 32 + 4;
/// The largest head that is read without checks, in bytes.
const MAX_HEAD_BYTES: usize = 1024 * 1024;

/// A key that a change sets, or removes if there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which key.
    pub key: Vec<u8>,
    /// Its new value.
    pub value: Option<bytes::Bytes>,
}

impl Write {
    /// How many bytes its key and its value have.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, bytes::Bytes::len)
    }
}

/// One change to be appended.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Who, when and what.
    pub head: Head,
    /// The keys that it sets and removes.
    pub writes: Vec<Write>,
}

/// One change as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number; the first ever is 1.
    pub sequence: u64,
    /// The number of the first change that was synced with it.
    pub group: u64,
    /// The hash of the change before it.
    pub previous: Hash,
    /// Its own hash.
    pub hash: Hash,
    /// Who, when and what.
    pub head: Head,
    /// The keys that it sets and removes.
    pub writes: Vec<Write>,
}

impl Frame {
    /// How many bytes its keys and values have.
    pub fn bytes(&self) -> usize {
        self.writes.iter().map(Write::bytes).sum()
    }

    /// Where it is in the log.
    pub fn position(&self) -> Position {
        Position { sequence: self.sequence, hash: self.hash }
    }
}

/// Makes the frame of an entry that follows `last`, in the group that begins with the change `group`; appends it to
/// `out`.
///
/// # Errors
///
/// [`LogError::Refused`] if it could not be read back; then `out` is as it was.
pub(super) fn make(
    entry: LogEntry,
    last: Position,
    group: u64,
    out: &mut Vec<u8>,
) -> Result<Frame, LogError> {
    let sequence = last.sequence + 1;
    let hash = encode(sequence, group, last.hash, &entry, out).map_err(LogError::Refused)?;
    let LogEntry { head, writes } = entry;
    Ok(Frame { sequence, group, previous: last.hash, hash, head, writes })
}

/// Appends a frame to `out` and returns its hash.
///
/// # Errors
///
/// A clause that says why the frame could not be read back; then `out` is as it was.
pub(super) fn encode(
    sequence: u64,
    group: u64,
    previous: Hash,
    entry: &LogEntry,
    out: &mut Vec<u8>,
) -> Result<Hash, &'static str> {
    let head = serde_json::to_vec(&entry.head).map_err(|_| "its head can't be written as JSON")?;
    let mut body = Vec::with_capacity(FIXED_BYTES + head.len() + 1024);
    body.extend_from_slice(&sequence.to_le_bytes());
    body.extend_from_slice(&group.to_le_bytes());
    body.extend_from_slice(&previous);
    put_bytes(&mut body, &head);
    for write in &entry.writes {
        encode_write(&write.key, write.value.as_deref(), &mut body);
    }
    if body.len() > MAX_BODY_BYTES {
        return Err("it has more than 64 MiB");
    }
    out.extend_from_slice(&length(&body).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    out.extend_from_slice(&body);
    Ok(Sha256::digest(&body).into())
}

/// The size of the frame that begins with these bytes, as far as they say it.
pub(super) fn size(bytes: &[u8]) -> Option<usize> {
    let length = Cursor(bytes).u32()? as usize;
    (FIXED_BYTES..=MAX_BODY_BYTES).contains(&length).then_some(PREFIX_BYTES + length)
}

/// Appends what sets a key, or removes it if there is no value.
pub fn encode_write(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    put_bytes(out, key);
    if let Some(value) = value {
        put_bytes(out, value);
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads the frame at the beginning of `bytes`; also how many bytes it takes.
///
/// # Errors
///
/// A clause that says why there is no frame.
pub(super) fn decode(bytes: &[u8]) -> Result<(Frame, usize), &'static str> {
    let mut prefix = Cursor(bytes);
    let length = prefix.u32().ok_or("it ends inside a frame")? as usize;
    let checksum = prefix.u32().ok_or("it ends inside a frame")?;
    if !(FIXED_BYTES..=MAX_BODY_BYTES).contains(&length) {
        return Err("invalid frame length");
    }
    let body = prefix.take(length).ok_or("it ends inside a frame")?;
    if crc32c::crc32c(body) != checksum {
        return Err("the checksum does not match");
    }
    let frame = decode_body(body).ok_or("the frame is malformed")?;
    Ok((frame, PREFIX_BYTES + length))
}

/// When a change was made, by its frame alone, of which `read` fills in bytes from a place on. Nothing
/// is checked.
pub(super) fn time(read: impl Fn(&mut [u8], u64) -> Option<()>) -> Option<Timestamp> {
    let head_at = (PREFIX_BYTES + FIXED_BYTES) as u64;
    let mut length = [0; 4];
    read(&mut length, head_at - 4)?;
    let length = u32::from_le_bytes(length) as usize;
    let mut head = vec![0; Some(length).filter(|&length| length <= MAX_HEAD_BYTES)?];
    read(&mut head, head_at)?;
    serde_json::from_slice(&head).ok().map(|head: Head| head.time)
}

fn decode_body(body: &[u8]) -> Option<Frame> {
    let mut cursor = Cursor(body);
    let sequence = cursor.u64()?;
    let group = cursor.u64()?;
    let previous = cursor.take(32)?.try_into().ok()?;
    let head = serde_json::from_slice(cursor.bytes()?).ok()?;
    let writes = decode_writes(cursor.0)?;
    Some(Frame { sequence, group, previous, hash: Sha256::digest(body).into(), head, writes })
}

/// Reads writes until the bytes end; `None` if they are malformed.
pub fn decode_writes(bytes: &[u8]) -> Option<Vec<Write>> {
    let mut cursor = Cursor(bytes);
    let mut writes = Vec::new();
    while let Some(kind) = cursor.take(1) {
        let key = cursor.bytes()?.to_vec();
        let value = match kind {
            [0] => None,
            [1] => Some(bytes::Bytes::copy_from_slice(cursor.bytes()?)),
            _ => return None,
        };
        writes.push(Write { key, value });
    }
    Some(writes)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}
