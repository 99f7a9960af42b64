//! Bodies that are written in memory, but for long lists of references: those are written while they are sent.
//!
//! A group of 250,000 members is 50 MB of JSON. Its members are read at once, so that the answer shows one
//! state, and take a sixth of that; their JSON is made in chunks, each when the one before is gone.

use std::vec;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::directory::{ReferenceList, ReferenceWriter};
use crate::http::respond::ResponseBody;
use crate::scim::projection::Projection;
use crate::scim::schema::ResourceType;

/// About how many bytes of JSON one chunk has.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many references are projected at once.
const PROJECTED_AT_ONCE: usize = 256;

/// A body while it is written.
#[derive(Default)]
pub(super) struct BodyWriter {
    /// What comes after all parts.
    pub(super) bytes: Vec<u8>,
    parts: Vec<Part>,
    /// About how many bytes the parts have once they are written.
    parts_bytes: usize,
    /// The memory that the parts take, in bytes.
    parts_held: usize,
    /// The bytes at the front that are left free for a head.
    room: usize,
}

enum Part {
    Bytes(Vec<u8>),
    List(LongList),
}

/// A list that is written while it is sent, as `,"name":[…]`; nothing if no element is shown.
pub(super) struct LongList {
    name: String,
    references: ReferenceList,
    /// How many of them have been written.
    written: usize,
    base_url: String,
    /// How resources of the type are projected, unless all of an element is shown.
    projection: Option<Box<(ResourceType, Projection)>>,
    /// Whether an element has been written.
    is_begun: bool,
}

impl BodyWriter {
    /// A body whose beginning, of about so many bytes, is written last.
    pub(super) fn with_room(room: usize) -> Self {
        Self { bytes: vec![b' '; room], room, ..Self::default() }
    }

    /// About how many bytes it has once it is written.
    pub(super) fn len(&self) -> usize {
        self.parts_bytes + self.bytes.len()
    }

    /// How many lists it has that are written while they are sent.
    pub(super) fn long_lists(&self) -> usize {
        self.parts.len() / 2
    }

    /// Appends a list of about so many bytes of JSON.
    pub(super) fn push(&mut self, list: LongList, bytes: usize) {
        let before = std::mem::take(&mut self.bytes);
        self.parts_bytes += before.len() + bytes;
        self.parts_held += before.len() + list.references.held_bytes();
        self.parts.extend([Part::Bytes(before), Part::List(list)]);
    }

    /// The body, which begins with `head`.
    pub(super) fn finish(mut self, head: &[u8]) -> ResponseBody {
        let first = match self.parts.first_mut() {
            Some(Part::Bytes(first)) => first,
            _ => &mut self.bytes,
        };
        let skip = self.room.saturating_sub(head.len());
        match first.get_mut(skip..self.room) {
            Some(room) if room.len() == head.len() => room.copy_from_slice(head),
            _ => drop(first.splice(skip..self.room.min(first.len()), head.iter().copied())),
        }
        if self.parts.is_empty() {
            return Bytes::from(self.bytes).slice(skip..).into();
        }
        let held = self.parts_held + self.bytes.len();
        self.parts.push(Part::Bytes(self.bytes));
        let chunks = Chunks { parts: self.parts.into_iter(), list: None, skip };
        ResponseBody::chunks(chunks, held)
    }
}

/// Writes the parts one after the other.
struct Chunks {
    parts: vec::IntoIter<Part>,
    /// The list that is being written.
    list: Option<LongList>,
    /// The bytes of the next part that are not sent.
    skip: usize,
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let chunk = match &mut self.list {
                Some(list) => {
                    let (chunk, is_last) = list.chunk();
                    if is_last {
                        self.list = None;
                    }
                    Bytes::from(chunk)
                }
                None => match self.parts.next()? {
                    Part::Bytes(bytes) => {
                        Bytes::from(bytes).slice(std::mem::take(&mut self.skip)..)
                    }
                    Part::List(list) => {
                        self.list = Some(list);
                        continue;
                    }
                },
            };
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
    }
}

impl LongList {
    /// A list with a name, whose elements are located below a URL.
    pub(super) fn new(
        name: String,
        references: ReferenceList,
        base_url: &str,
        projection: Option<Box<(ResourceType, Projection)>>,
    ) -> Self {
        let base_url = base_url.to_owned();
        Self { name, references, written: 0, base_url, projection, is_begun: false }
    }

    /// The next chunk, and whether it is the last.
    fn chunk(&mut self) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(CHUNK_BYTES + 1024);
        let Self { name, references, written, base_url, projection, is_begun } = self;
        let mut writer = ReferenceWriter::new(base_url);
        while out.len() < CHUNK_BYTES {
            if *written >= references.len() {
                if *is_begun {
                    out.push(b']');
                }
                return (out, true);
            }
            let some = (*written..*written + PROJECTED_AT_ONCE).map_while(|at| references.get(at));
            *written += PROJECTED_AT_ONCE;
            let Some((resource_type, projection)) = projection.as_deref() else {
                for one in some {
                    begin_element(&mut out, name, is_begun);
                    writer.push(one, &mut out);
                }
                continue;
            };
            let served: Vec<Value> = some.map(|one| one.served(base_url)).collect();
            let whole = Map::from_iter([(name.clone(), Value::Array(served))]);
            let mut shown = projection.apply(resource_type, whole);
            if let Some(Value::Array(elements)) = shown.remove(name) {
                for one in &elements {
                    begin_element(&mut out, name, is_begun);
                    // Writing text to memory does not fail.
                    let _ = serde_json::to_writer(&mut out, one);
                }
            }
        }
        (out, false)
    }
}

/// Begins an element of the list with that name.
fn begin_element(out: &mut Vec<u8>, name: &str, is_begun: &mut bool) {
    if std::mem::replace(is_begun, true) {
        out.push(b',');
    } else {
        out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
    }
}
