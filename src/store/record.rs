//! The record of a resource: an envelope around the JSON that is served.
//!
//! ```text
//! record = format u8 | CRC-32C of the rest u32 | version u64 | where meta begins u32
//!          | length of the connection's name u8 | name of the connection that created it | JSON
//! ```
//!
//! Numbers are little-endian. A name of no length: it is not known which connection did. Format 1 has
//! neither length nor name.

use bytes::{BufMut, Bytes};

use crate::scim::resource::{Rendered, Version};

/// The format of records that are written; earlier ones are read as well.
pub const FORMAT: u8 = 2;
const FORMAT_WITHOUT_MANAGER: u8 = 1;
const VERSION_AT: usize = 5;
const META_AT: usize = 13;
const MANAGER_AT: usize = 17;

/// A resource as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How often it was written.
    pub version: Version,
    /// Where in the JSON `,"meta":` begins.
    pub meta_at: usize,
    /// What is served, less its location.
    pub json: Bytes,
    /// The name of the connection that created it; empty if it is not known.
    manager: Bytes,
}

impl Record {
    /// The name of the connection that manages the resource: the one that created it, or opened it
    /// again; `None` if it is not known.
    pub fn manager(&self) -> Option<&str> {
        std::str::from_utf8(&self.manager).ok().filter(|name| !name.is_empty())
    }
}

/// Puts a resource into its envelope. `manager` is the name of a connection, of 255 bytes at most.
pub fn encode(version: Version, rendered: &Rendered, manager: Option<&str>) -> Bytes {
    let manager = manager.unwrap_or_default();
    let length = u8::try_from(manager.len()).unwrap_or_default();
    let manager = manager.get(..usize::from(length)).unwrap_or_default();
    let mut record = Vec::with_capacity(MANAGER_AT + 1 + manager.len() + rendered.json.len());
    record.put_u8(FORMAT);
    record.put_u32_le(0);
    record.put_u64_le(version.0);
    record.put_u32_le(u32::try_from(rendered.meta_at).unwrap_or(u32::MAX));
    record.put_u8(length);
    record.put_slice(manager.as_bytes());
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
    if crc32c::crc32c(record.get(VERSION_AT..)?) != checksum {
        return None;
    }
    let meta_at = u32::from_le_bytes(field(META_AT..MANAGER_AT)?.try_into().ok()?);
    let (name_at, json_at) = match *record.first()? {
        FORMAT_WITHOUT_MANAGER => (MANAGER_AT, MANAGER_AT),
        FORMAT => {
            let name_at = MANAGER_AT + 1;
            (name_at, name_at + usize::from(*record.get(MANAGER_AT)?))
        }
        _ => return None,
    };
    field(name_at..json_at)?;
    Some(Record {
        version: Version(version(record)?),
        meta_at: meta_at as usize,
        json: record.slice(json_at..),
        manager: record.slice(name_at..json_at),
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
        let record = encode(Version(9), &rendered, Some("okta"));
        let decoded = decode(&record).unwrap();
        assert_eq!((decoded.version, decoded.meta_at), (Version(9), 6));
        assert_eq!((&decoded.json[..], decoded.manager()), (&rendered.json[..], Some("okta")));
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

    #[test]
    fn records_without_a_manager_are_read() {
        let rendered = Rendered { json: br#"{"a":1,"meta":{}}"#.to_vec(), meta_at: 6 };
        let decoded = decode(&encode(Version(1), &rendered, None)).unwrap();
        assert_eq!((&decoded.json[..], decoded.manager()), (&rendered.json[..], None));

        let mut old = vec![FORMAT_WITHOUT_MANAGER, 0, 0, 0, 0];
        old.put_u64_le(3);
        old.put_u32_le(6);
        old.put_slice(&rendered.json);
        let checksum = crc32c::crc32c(&old[VERSION_AT..]);
        old[1..VERSION_AT].copy_from_slice(&checksum.to_le_bytes());
        let decoded = decode(&old.into()).unwrap();
        assert_eq!((decoded.version, &decoded.json[..]), (Version(3), &rendered.json[..]));
        assert_eq!(decoded.manager(), None);
    }
}
