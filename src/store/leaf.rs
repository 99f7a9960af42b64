//! Leaves: the parts of the state that memory holds. A leaf never changes: a change puts another in its place.

use std::ops::{Bound, Deref};

use bytes::Bytes;
use smallvec::SmallVec;

/// A leaf with more is split. A change copies its leaf; each leaf costs some memory of its own.
pub(super) const LEAF_BYTES: usize = 16 * 1024;
/// What a leaf takes besides its bytes and its entries: its place in the tree, and what allocations cost.
pub(super) const LEAF_COST: usize = 160;

/// A key, or the beginning of one that is enough to tell what comes before it. Most are short, and many are copied
/// when a version of the state is held.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fence(SmallVec<[u8; 24]>);

impl Clone for Fence {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl From<&[u8]> for Fence {
    fn from(key: &[u8]) -> Self {
        // Copies all bytes together; the clone of a `SmallVec` copies each by itself.
        Self(SmallVec::from_slice(key))
    }
}

impl Deref for Fence {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A part of the state.
#[derive(Default)]
pub(super) struct Leaf {
    /// All keys, then all values.
    bytes: Bytes,
    /// In the order of their keys.
    entries: Box<[Entry]>,
}

/// Where in a leaf's bytes a key and its value are.
#[derive(Clone, Copy)]
struct Entry {
    key: u32,
    key_end: u32,
    value: u32,
    value_end: u32,
}

/// What a leaf is made of that comes in place of another.
enum Piece<'a> {
    /// Entries of the other.
    Kept(&'a [Entry]),
    Written(&'a [u8], &'a [u8]),
}

impl Piece<'_> {
    fn entries(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.len(),
            Self::Written(..) => 1,
        }
    }
}

impl Leaf {
    fn new(entries: &[(&[u8], &[u8])]) -> Self {
        let mut bytes = Vec::with_capacity(size(entries));
        let mut append = |part: &[u8]| {
            let begin = bytes.len();
            bytes.extend_from_slice(part);
            // Nothing near 4 GiB is ever in one change.
            [begin, bytes.len()].map(|place| u32::try_from(place).unwrap_or(u32::MAX))
        };
        let keys: Vec<_> = entries.iter().map(|(key, _)| append(key)).collect();
        let values = entries.iter().map(|(_, value)| append(value));
        let entries = keys
            .into_iter()
            .zip(values)
            .map(|([key, key_end], [value, value_end])| Entry { key, key_end, value, value_end })
            .collect();
        Self { bytes: bytes.into(), entries }
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.key as usize..entry.key_end as usize).unwrap_or_default()
    }

    fn value(&self, entry: &Entry) -> Bytes {
        self.bytes.slice(entry.value as usize..entry.value_end as usize)
    }

    pub(super) fn lowest(&self) -> &[u8] {
        self.entries.first().map_or(&[], |entry| self.key(entry))
    }

    pub(super) fn highest(&self) -> &[u8] {
        self.entries.last().map_or(&[], |entry| self.key(entry))
    }

    pub(super) fn cost(&self) -> usize {
        LEAF_COST + self.bytes.len() + size_of_val(&*self.entries)
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        let found = self.entries.binary_search_by(|entry| self.key(entry).cmp(key)).ok()?;
        self.entries.get(found).map(|entry| self.value(entry))
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries from one on have keys with a prefix, which that one is not below.
    pub(super) fn with_prefix(&self, begin: usize, prefix: &[u8]) -> usize {
        let entries = self.entries.get(begin..).unwrap_or_default();
        entries.partition_point(|entry| self.key(entry).starts_with(prefix))
    }

    /// The number of the first entry from a place on.
    pub(super) fn begin(&self, from: Bound<&[u8]>) -> usize {
        self.entries.partition_point(|entry| match from {
            Bound::Included(from) => self.key(entry) < from,
            Bound::Excluded(from) => self.key(entry) <= from,
            Bound::Unbounded => false,
        })
    }

    /// The key of an entry.
    pub(super) fn key_at(&self, number: usize) -> Option<&[u8]> {
        self.entries.get(number).map(|entry| self.key(entry))
    }

    /// The keys from an entry on, in order, with their values.
    pub(super) fn from(&self, begin: usize) -> impl Iterator<Item = (&[u8], Bytes)> {
        let entries = self.entries.get(begin..).unwrap_or_default();
        entries.iter().map(|entry| (self.key(entry), self.value(entry)))
    }

    /// The leaf that comes in place of this one after the writes, in the order of their keys; `None` if it would be too
    /// large for one. What stays is copied in runs, since entries next to each other have their bytes next to each other.
    pub(super) fn with(&self, writes: &[(&[u8], Option<&Bytes>)]) -> Option<Self> {
        let mut pieces = SmallVec::<[Piece<'_>; 8]>::new();
        let mut rest = &*self.entries;
        for (key, value) in writes {
            let place = rest.partition_point(|entry| self.key(entry) < *key);
            let (before, behind) = rest.split_at_checked(place)?;
            pieces.push(Piece::Kept(before));
            rest = match behind.split_first() {
                Some((entry, others)) if self.key(entry) == *key => others,
                _ => behind,
            };
            pieces.extend(value.map(|value| Piece::Written(key, value)));
        }
        pieces.push(Piece::Kept(rest));
        let (mut size, mut count) = (0, 0);
        for piece in &pieces {
            size += self.keys_of(piece).len() + self.values_of(piece).len();
            count += piece.entries();
        }
        if size > LEAF_BYTES {
            return None;
        }
        let mut bytes = Vec::with_capacity(size);
        let mut entries = Vec::with_capacity(count);
        for piece in &pieces {
            let (begin, keys) = (bytes.len() as u32, self.keys_of(piece));
            bytes.extend_from_slice(keys);
            match piece {
                Piece::Kept(kept) => {
                    let first = kept.first().map_or(0, |entry| entry.key);
                    entries.extend(kept.iter().map(|entry| Entry {
                        key: entry.key - first + begin,
                        key_end: entry.key_end - first + begin,
                        ..*entry
                    }));
                }
                Piece::Written(..) => {
                    let key_end = bytes.len() as u32;
                    entries.push(Entry { key: begin, key_end, value: 0, value_end: 0 });
                }
            }
        }
        let mut unplaced = entries.as_mut_slice();
        for piece in &pieces {
            let (begin, values) = (bytes.len() as u32, self.values_of(piece));
            bytes.extend_from_slice(values);
            let (placed, behind) = unplaced.split_at_mut_checked(piece.entries())?;
            unplaced = behind;
            match piece {
                Piece::Kept(kept) => {
                    let first = kept.first().map_or(0, |entry| entry.value);
                    for entry in placed {
                        entry.value = entry.value - first + begin;
                        entry.value_end = entry.value_end - first + begin;
                    }
                }
                Piece::Written(..) => {
                    for entry in placed {
                        (entry.value, entry.value_end) = (begin, bytes.len() as u32);
                    }
                }
            }
        }
        Some(Self { bytes: bytes.into(), entries: entries.into() })
    }

    /// The keys of a piece, one behind the other.
    fn keys_of<'a>(&'a self, piece: &Piece<'a>) -> &'a [u8] {
        match piece {
            Piece::Written(key, _) => key,
            Piece::Kept(kept) => self.run(kept, |entry| entry.key, |entry| entry.key_end),
        }
    }

    /// The values of a piece, one behind the other.
    fn values_of<'a>(&'a self, piece: &Piece<'a>) -> &'a [u8] {
        match piece {
            Piece::Written(_, value) => value,
            Piece::Kept(kept) => self.run(kept, |entry| entry.value, |entry| entry.value_end),
        }
    }

    fn run(&self, kept: &[Entry], begin: fn(&Entry) -> u32, end: fn(&Entry) -> u32) -> &[u8] {
        let (Some(first), Some(last)) = (kept.first(), kept.last()) else { return &[] };
        self.bytes.get(begin(first) as usize..end(last) as usize).unwrap_or_default()
    }

    /// What it holds once each of the writes, in the order of their keys, was carried out.
    pub(super) fn merged<'a>(
        &'a self,
        writes: &[(&'a [u8], Option<&'a Bytes>)],
    ) -> Vec<(&'a [u8], &'a [u8])> {
        let mut merged = Vec::with_capacity(self.entries.len() + writes.len());
        let mut present = self
            .entries
            .iter()
            .map(|entry| {
                let value = self.bytes.get(entry.value as usize..entry.value_end as usize);
                (self.key(entry), value.unwrap_or_default())
            })
            .peekable();
        for (key, value) in writes {
            merged.extend(std::iter::from_fn(|| present.next_if(|(present, _)| present < key)));
            present.next_if(|(present, _)| present == key);
            merged.extend(value.map(|value| (*key, &value[..])));
        }
        merged.extend(present);
        merged
    }
}

/// The shortest beginning of `key` that comes after `before`, which the key does.
pub(super) fn fence(before: &[u8], key: &[u8]) -> Fence {
    let common = before.iter().zip(key).take_while(|(before, key)| before == key).count();
    key.get(..=common).unwrap_or(key).into()
}

fn size(entries: &[(&[u8], &[u8])]) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Makes leaves of about one size of entries; none of none.
pub(super) fn split(entries: &[(&[u8], &[u8])]) -> Vec<Leaf> {
    let total = size(entries);
    let share = total.div_ceil(total.div_ceil(LEAF_BYTES).max(1));
    let mut leaves = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut bytes = 0;
        let full = rest.iter().position(|(key, value)| {
            bytes += key.len() + value.len();
            bytes >= share
        });
        let (leaf, behind) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        leaves.push(Leaf::new(leaf));
        rest = behind;
    }
    leaves
}
