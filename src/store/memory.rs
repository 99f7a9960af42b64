//! State in memory: what reading is answered from.
//!
//! Keys and values stand in leaves, each one run of bytes in the order of its keys. A leaf never
//! changes: a change puts another in its place. So a reader needs the lock for as long as it takes to
//! find a leaf, reads it as it was at one moment, and blocks no other thread, however long it reads.
//!
//! What is held is the front of the state, the keys below a mark that the loading moves up and that
//! comes down again where more would be held than is allowed. Behind it the database answers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use smallvec::SmallVec;

use super::Write;

/// A leaf with more is split. A change copies its leaf; each leaf costs some memory of its own.
const LEAF_BYTES: usize = 16 * 1024;
/// What a leaf takes besides its bytes and its entries: its place in the tree, and what allocations cost.
const LEAF_COST: usize = 160;

/// A key, or the beginning of one that is enough to tell what comes before it. Most are short.
pub(super) type Fence = SmallVec<[u8; 24]>;

/// The front of the state.
pub(super) struct Memory {
    /// How many bytes are held at most.
    limit: usize,
    held: RwLock<Held>,
}

struct Held {
    /// By the lowest key that each may hold; the first one's is empty.
    leaves: BTreeMap<Fence, Arc<Leaf>>,
    upto: HeldUpTo,
    bytes: usize,
}

/// How much of the state is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeldUpTo {
    /// All keys below this one.
    Key(Fence),
    /// All keys.
    End,
}

impl HeldUpTo {
    fn covers(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(mark) => *key < **mark,
            Self::End => true,
        }
    }
}

/// A place in the state.
pub(super) enum Lookup {
    /// It is in this leaf, and what is held goes on at `next`, or ends with it.
    Held {
        /// The leaf.
        leaf: Arc<Leaf>,
        /// Where the following keys begin; `None`: there are none.
        next: Option<Fence>,
    },
    /// It is not held.
    Elsewhere,
}

impl Memory {
    /// Creates an empty memory that holds at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let upto = HeldUpTo::Key(Fence::new());
        Self { limit, held: RwLock::new(Held { leaves: BTreeMap::new(), upto, bytes: 0 }) }
    }

    /// The value of a key; `None` if that is not held.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let leaf = {
            let held = self.read();
            held.upto.covers(key).then(|| held.leaf(key).map(|(_, leaf)| Arc::clone(leaf)))?
        };
        Some(leaf.and_then(|leaf| leaf.get(key)))
    }

    /// Where a key would be.
    pub(super) fn place(&self, key: &[u8]) -> Lookup {
        let held = self.read();
        match held.leaf(key).filter(|_| held.upto.covers(key)) {
            Some((lowest, leaf)) => {
                let next = held.following(lowest).cloned().or_else(|| match &held.upto {
                    HeldUpTo::Key(mark) => Some(mark.clone()),
                    HeldUpTo::End => None,
                });
                Lookup::Held { leaf: Arc::clone(leaf), next }
            }
            None => Lookup::Elsewhere,
        }
    }

    /// Whether nothing is ever held.
    pub(super) fn is_for_nothing(&self) -> bool {
        self.limit == 0
    }

    /// How much is held.
    pub(super) fn upto(&self) -> HeldUpTo {
        self.read().upto.clone()
    }

    /// How many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        self.read().bytes
    }

    /// Appends the next entries in the order of keys, so that all keys up to `upto` are held; returns whether
    /// they fit.
    pub(super) fn extend(&self, entries: &[(Bytes, Bytes)], upto: HeldUpTo) -> bool {
        let entries: Vec<_> = entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        let leaves = split(&entries);
        let mut held = self.write();
        let HeldUpTo::Key(mark) = std::mem::replace(&mut held.upto, upto) else { return true };
        held.put(mark, leaves);
        held.shrink(self.limit)
    }

    /// Takes over a change to the state, as far as it is held: a reader sees all of it, or nothing.
    /// Answers whether there was room for it.
    pub(super) fn apply<'a>(&self, writes: impl Iterator<Item = &'a Write>) -> bool {
        let latest = writes.map(|write| (write.key.as_slice(), write.value.as_ref())).collect();
        // Only this thread changes the memory: nothing changes between the two locks.
        let changed = self.read().change(latest);
        let mut held = self.write();
        for (lowest, leaves) in changed {
            held.put(lowest, leaves);
        }
        held.shrink(self.limit)
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The leaf in which a key would be, and the lowest key that it may hold.
    fn leaf(&self, key: &[u8]) -> Option<(&[u8], &Arc<Leaf>)> {
        let upto_key = (Bound::Unbounded, Bound::Included(key));
        let (lowest, leaf) = self.leaves.range::<[u8], _>(upto_key).next_back()?;
        Some((lowest, leaf))
    }

    /// The lowest key of the leaf behind that one.
    fn following(&self, lowest: &[u8]) -> Option<&Fence> {
        let behind = (Bound::Excluded(lowest), Bound::Unbounded);
        self.leaves.range::<[u8], _>(behind).next().map(|(lowest, _)| lowest)
    }

    /// The leaves that come in place of some after the writes to each key, by their lowest key.
    fn change(&self, writes: BTreeMap<&[u8], Option<&Bytes>>) -> Vec<(Fence, Vec<Leaf>)> {
        let mut changed = Vec::new();
        let mut writes = writes.into_iter().take_while(|(key, _)| self.upto.covers(key)).peekable();
        while let Some((key, _)) = writes.peek() {
            let Some((lowest, leaf)) = self.leaf(key) else { break };
            let behind = self.following(lowest);
            let of_leaf = |(key, _): &(&[u8], _)| behind.is_none_or(|behind| *key < &behind[..]);
            let of_leaf: Vec<_> = std::iter::from_fn(|| writes.next_if(of_leaf)).collect();
            changed.push((lowest.into(), split(&leaf.merged(&of_leaf))));
        }
        changed
    }

    /// Puts leaves in the place of the one with that lowest key.
    fn put(&mut self, lowest: Fence, leaves: Vec<Leaf>) {
        if let Some(leaf) = self.leaves.remove(&lowest) {
            self.bytes -= leaf.cost();
        }
        // Without a leaf of its own, a place belongs to the leaf before it.
        let nothing = (leaves.is_empty() && lowest.is_empty()).then(Leaf::default);
        let (mut lowest, mut last) = (Some(lowest), Fence::new());
        for leaf in leaves.into_iter().chain(nothing) {
            self.bytes += leaf.cost();
            let key = lowest.take().unwrap_or_else(|| fence(&last, leaf.lowest()));
            last = leaf.highest().into();
            self.leaves.insert(key, Arc::new(leaf));
        }
    }

    /// Evicts entries from the end down to `limit` bytes; returns whether nothing was evicted.
    fn shrink(&mut self, limit: usize) -> bool {
        let mut fits = true;
        while self.bytes > limit
            && let Some((lowest, leaf)) = self.leaves.pop_last()
        {
            self.bytes -= leaf.cost();
            self.upto = HeldUpTo::Key(lowest);
            fits = false;
        }
        fits
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
struct Entry {
    key: u32,
    key_end: u32,
    value: u32,
    value_end: u32,
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

    fn lowest(&self) -> &[u8] {
        self.entries.first().map_or(&[], |entry| self.key(entry))
    }

    fn highest(&self) -> &[u8] {
        self.entries.last().map_or(&[], |entry| self.key(entry))
    }

    fn cost(&self) -> usize {
        LEAF_COST + self.bytes.len() + size_of_val(&*self.entries)
    }

    fn get(&self, key: &[u8]) -> Option<Bytes> {
        let found = self.entries.binary_search_by(|entry| self.key(entry).cmp(key)).ok()?;
        self.entries.get(found).map(|entry| self.value(entry))
    }

    /// The keys from a place on, in order, with their values.
    pub(super) fn from(&self, from: Bound<&[u8]>) -> impl Iterator<Item = (&[u8], Bytes)> {
        let begin = self.entries.partition_point(|entry| match from {
            Bound::Included(from) => self.key(entry) < from,
            Bound::Excluded(from) => self.key(entry) <= from,
            Bound::Unbounded => false,
        });
        let entries = self.entries.get(begin..).unwrap_or_default();
        entries.iter().map(|entry| (self.key(entry), self.value(entry)))
    }

    /// What it holds once each of the writes, in the order of their keys, was carried out.
    fn merged<'a>(&'a self, writes: &[(&'a [u8], Option<&'a Bytes>)]) -> Vec<(&'a [u8], &'a [u8])> {
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
fn fence(before: &[u8], key: &[u8]) -> Fence {
    let common = before.iter().zip(key).take_while(|(before, key)| before == key).count();
    key.get(..=common).unwrap_or(key).into()
}

fn size(entries: &[(&[u8], &[u8])]) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Makes leaves of about one size of entries; none of none.
fn split(entries: &[(&[u8], &[u8])]) -> Vec<Leaf> {
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Vec<u8>, Bytes>;

    #[derive(Clone, Debug)]
    enum Step {
        /// So many keys are loaded.
        Load(usize),
        /// Keys are set, each to a value of so many bytes, or removed.
        Change(Vec<(Vec<u8>, Option<usize>)>),
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(255)], 0..5)
    }

    fn step() -> impl Strategy<Value = Step> {
        let change = (key(), proptest::option::weighted(0.7, 0_usize..9_000));
        prop_oneof![(1_usize..60).prop_map(Step::Load), vec(change, 1..40).prop_map(Step::Change)]
    }

    fn value(key: &[u8], bytes: usize) -> Bytes {
        Bytes::from(vec![key.len() as u8 ^ bytes as u8; bytes])
    }

    fn load(memory: &Memory, model: &Model, count: usize) -> bool {
        let HeldUpTo::Key(mark) = memory.upto() else { return true };
        let mut rest = model.range(mark.to_vec()..);
        let entries: Vec<_> = rest
            .by_ref()
            .take(count)
            .map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()))
            .collect();
        let upto =
            rest.next().map_or(HeldUpTo::End, |(key, _)| HeldUpTo::Key(key.as_slice().into()));
        memory.extend(&entries, upto)
    }

    /// Everything from a key on that is held, by going from leaf to leaf; and where that ends.
    fn held(memory: &Memory, from: &[u8]) -> (Vec<(Vec<u8>, Bytes)>, HeldUpTo) {
        let (mut held, mut at) = (Vec::new(), Fence::from(from));
        loop {
            let Lookup::Held { leaf, next } = memory.place(&at) else {
                return (held, HeldUpTo::Key(at));
            };
            let entries = leaf.from(Bound::Included(&at[..]));
            held.extend(entries.map(|(key, value)| (key.to_vec(), value)));
            match next {
                Some(next) => at = next,
                None => return (held, HeldUpTo::End),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_held_is_the_front_of_the_state(
            steps in vec(step(), 1..30),
            limit in prop_oneof![Just(usize::MAX), 0_usize..200_000],
            from in key(),
        ) {
            let (memory, mut model) = (Memory::new(limit), Model::new());
            for step in steps {
                match step {
                    Step::Load(count) => {
                        load(&memory, &model, count);
                    }
                    Step::Change(changes) => {
                        let writes: Vec<Write> = changes
                            .into_iter()
                            .map(|(key, bytes)| {
                                let value = bytes.map(|bytes| value(&key, bytes));
                                Write { key, value }
                            })
                            .collect();
                        memory.apply(writes.iter());
                        for Write { key, value } in writes {
                            match value {
                                Some(value) => drop(model.insert(key, value)),
                                None => drop(model.remove(&key)),
                            }
                        }
                    }
                }
                prop_assert!(memory.bytes() <= limit.max(LEAF_COST));
                let upto = memory.upto();
                let (found, end) = held(&memory, &from);
                match &upto {
                    HeldUpTo::Key(mark) if **mark <= from[..] => prop_assert!(found.is_empty()),
                    _ => prop_assert_eq!(&end, &upto),
                }
                let covered = |key: &[u8]| upto.covers(key);
                let expected: Vec<_> = model
                    .range(from.clone()..)
                    .filter(|(key, _)| covered(key))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                prop_assert_eq!(found, expected);
                for key in model.keys().chain([&from]) {
                    let expected = covered(key).then(|| model.get(key).cloned());
                    prop_assert_eq!(memory.get(key), expected);
                }
            }
        }
    }

    #[test]
    fn leaves_are_split_by_size_and_given_up_when_empty() {
        let memory = Memory::new(usize::MAX);
        assert!(memory.extend(&[], HeldUpTo::End));
        let keys: Vec<Vec<u8>> =
            (0..1_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
        let write = |key: &Vec<u8>, value: Option<Bytes>| Write { key: key.clone(), value };
        let writes: Vec<Write> = keys.iter().map(|key| write(key, Some(value(key, 600)))).collect();
        for write in &writes {
            memory.apply([write].into_iter());
        }
        let leaves = memory.read().leaves.len();
        assert!((604_000 / LEAF_BYTES..=2 * 604_000 / LEAF_BYTES).contains(&leaves), "{leaves}");
        let writes: Vec<Write> = keys.iter().map(|key| write(key, None)).collect();
        assert!(memory.apply(writes.iter()));
        assert_eq!((memory.read().leaves.len(), memory.bytes()), (1, LEAF_COST));
        assert_eq!(memory.get(&[]), Some(None));
    }
}
