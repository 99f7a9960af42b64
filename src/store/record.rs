//! The record of a resource: an envelope around the JSON that is served.
//!
//! ```text
//! record = format u8 | CRC-32C of the rest u32 | version u64 | where meta begins u32 | JSON
//! ```
//!
//! Numbers are little-endian.

use bytes::{BufMut, Bytes};

use crate::scim::resource::{Rendered, Version};

const FORMAT: u8 = 1;
const VERSION_AT: usize = 5;
const META_AT: usize = 13;
const JSON_AT: usize = 17;

/// A resource as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How often it was written.
    pub version: Version,
    /// Where in the JSON `,"meta":` begins.
    pub meta_at: usize,
    /// What is served, less its location.
    pub json: Bytes,
}

/// Puts a resource into its envelope.
pub fn encode(version: Version, rendered: &Rendered) -> Bytes {
    let mut record = Vec::with_capacity(JSON_AT + rendered.json.len());
    record.put_u8(FORMAT);
    record.put_u32_le(0);
    record.put_u64_le(version.0);
    record.put_u32_le(u32::try_from(rendered.meta_at).unwrap_or(u32::MAX));
    record.put_slice(&rendered.json);
    let checksum = crc32c::crc32c(record.get(VERSION_AT..).unwrap_or_default());
    if let Some(place) = record.get_mut(1..VERSION_AT) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    record.into()
}

/// Takes a resource out of its envelope; `None` if it is not what was put in.
pub fn decode(record: &Bytes) -> Option<Record> {
    let field = |range: std::ops::Range<usize>| record.get(range);
    let checksum = u32::from_le_bytes(field(1..VERSION_AT)?.try_into().ok()?);
    let sound =
        record.first() == Some(&FORMAT) && crc32c::crc32c(record.get(VERSION_AT..)?) == checksum;
    let meta_at = u32::from_le_bytes(field(META_AT..JSON_AT)?.try_into().ok()?);
    sound.then_some(Record {
        version: Version(version(record)?),
        meta_at: meta_at as usize,
        json: record.slice(JSON_AT..),
    })
}

/// The version alone, unchecked.
pub(super) fn version(record: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(record.get(VERSION_AT..META_AT)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_gives_back_what_it_holds_or_nothing() {
        let rendered = Rendered { json: br#"{"a":1,"meta":{}}"#.to_vec(), meta_at: 6 };
        let record = encode(Version(9), &rendered);
        let decoded = decode(&record).unwrap();
        assert_eq!((decoded.version, decoded.meta_at), (Version(9), 6));
        assert_eq!(decoded.json, rendered.json);
        assert_eq!(version(&record), Some(9));
        for bit in 0..record.len() * 8 {
            let mut damaged = record.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged.into()), None, "bit {bit}");
        }
        for length in 0..record.len() {
            assert_eq!(decode(&record.slice(..length)), None, "length {length}");
        }
    }
}
