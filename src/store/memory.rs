//! State in memory: what reading is answered from.
//!
//! Keys and values stand in leaves, each one run of bytes in the order of its keys. A leaf never
//! changes: a change puts another in its place. So a reader needs the lock for as long as it takes to
//! find a leaf, reads it as it was at one moment, and blocks no other thread, however long it reads.
//!
//! What is held is the front of the state, the keys below a mark that the loading moves up and that
//! comes down again where more would be held than is allowed. Behind it the database answers.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::Write;
use super::leaf::{Fence, Leaf, fence, split};
use super::leaves::Leaves;

/// The front of the state.
pub(super) struct Memory {
    /// How many bytes are held at most.
    limit: usize,
    held: RwLock<Held>,
}

struct Held {
    view: MemoryView,
    bytes: usize,
}

/// What is held at one moment.
#[derive(Clone)]
pub(super) struct MemoryView {
    /// By the lowest key that each may hold; the first one's is empty.
    leaves: Leaves,
    upto: HeldUpTo,
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
    pub(super) fn covers(&self, key: &[u8]) -> bool {
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
        /// The number of its first entry from the place on.
        begin: usize,
        /// Where the following keys begin; `None`: there are none.
        next: Option<Fence>,
    },
    /// No key from there on has the prefix.
    Nothing,
    /// It is not held.
    Elsewhere,
}

impl Memory {
    /// Creates an empty memory that holds at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let view = MemoryView { leaves: Leaves::default(), upto: HeldUpTo::Key(Fence::default()) };
        Self { limit, held: RwLock::new(Held { view, bytes: 0 }) }
    }

    /// The value of a key; `None` if that is not held.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let leaf = self.read().view.leaf_of(key)?.cloned();
        Some(leaf.and_then(|leaf| leaf.get(key)))
    }

    /// Where the keys with a prefix go on, from a place on.
    pub(super) fn place(&self, from: Bound<&[u8]>, prefix: &[u8]) -> Lookup {
        self.read().view.place(from, prefix)
    }

    /// As [`Read::skip`](super::Read::skip), as far as keys are held.
    pub(super) fn skip(&self, prefix: &[u8], count: u64) -> (Option<Vec<u8>>, u64) {
        self.read().view.leaves.skip(prefix, count)
    }

    /// What is held now, for as long as it is wanted.
    pub(super) fn view(&self) -> MemoryView {
        self.read().view.clone()
    }

    /// Whether nothing is ever held.
    pub(super) fn is_for_nothing(&self) -> bool {
        self.limit == 0
    }

    /// How much is held.
    pub(super) fn upto(&self) -> HeldUpTo {
        self.read().view.upto.clone()
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
        let HeldUpTo::Key(mark) = std::mem::replace(&mut held.view.upto, upto) else { return true };
        held.put(mark, leaves);
        held.shrink(self.limit)
    }

    /// Takes over a change to the state, as far as it is held: a reader sees all of it, or nothing.
    /// Answers whether there was room for it.
    pub(super) fn apply<'a>(&self, writes: impl Iterator<Item = &'a Write>) -> bool {
        // Only this thread changes the memory: nothing changes between the two locks.
        let changed = self.changed_by(writes);
        let mut held = self.write();
        held.put_all(changed);
        held.shrink(self.limit)
    }

    /// As [`Memory::apply`], unless something may have to be given up for it: then nothing happens.
    pub(super) fn apply_if_it_fits<'a>(&self, writes: impl Iterator<Item = &'a Write>) -> bool {
        let changed = self.changed_by(writes);
        // Those in whose place they come are not taken off: near the limit a change may take the other way.
        let more = changed.iter().flat_map(|(_, leaves)| leaves).map(Leaf::cost).sum::<usize>();
        if self.bytes().saturating_add(more) > self.limit {
            return false;
        }
        self.write().put_all(changed);
        true
    }

    fn changed_by<'a>(&self, writes: impl Iterator<Item = &'a Write>) -> Vec<(Fence, Vec<Leaf>)> {
        let latest = writes.map(|write| (write.key.as_slice(), write.value.as_ref())).collect();
        self.read().view.change(latest)
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryView {
    /// The value of a key; `None` if that is not held.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        Some(self.leaf_of(key)?.and_then(|leaf| leaf.get(key)))
    }

    /// Where the keys with a prefix go on, from a place on.
    pub(super) fn place(&self, from: Bound<&[u8]>, prefix: &[u8]) -> Lookup {
        let key = match from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        match self.leaves.around(key).filter(|_| self.upto.covers(key)) {
            Some((leaf, behind)) => {
                let begin = leaf.begin(from);
                // Most accounts have no groups: what shows that is not copied.
                if leaf.key_at(begin).is_some_and(|key| !key.starts_with(prefix)) {
                    return Lookup::Nothing;
                }
                let next = behind.or(match &self.upto {
                    HeldUpTo::Key(mark) => Some(mark),
                    HeldUpTo::End => None,
                });
                Lookup::Held { leaf: Arc::clone(leaf), begin, next: next.cloned() }
            }
            None => Lookup::Elsewhere,
        }
    }

    /// How much is held.
    pub(super) fn upto(&self) -> &HeldUpTo {
        &self.upto
    }

    /// The leaf in which a key would be, if there is one; `None` if the key is not held.
    fn leaf_of(&self, key: &[u8]) -> Option<Option<&Arc<Leaf>>> {
        self.upto.covers(key).then(|| self.leaves.covering(key).map(|(_, leaf)| leaf))
    }

    /// The leaves that come in place of some after the writes to each key, by their lowest key.
    fn change(&self, writes: BTreeMap<&[u8], Option<&Bytes>>) -> Vec<(Fence, Vec<Leaf>)> {
        let mut changed = Vec::new();
        let mut writes = writes.into_iter().take_while(|(key, _)| self.upto.covers(key)).peekable();
        while let Some((key, _)) = writes.peek() {
            let Some((lowest, leaf)) = self.leaves.covering(key) else { break };
            let behind = self.leaves.following(lowest);
            let of_leaf = |(key, _): &(&[u8], _)| behind.is_none_or(|behind| *key < &behind[..]);
            let of_leaf: Vec<_> = std::iter::from_fn(|| writes.next_if(of_leaf)).collect();
            let leaves = match leaf.with(&of_leaf) {
                Some(leaf) => Vec::from_iter(Some(leaf).filter(|leaf| leaf.len() > 0)),
                None => split(&leaf.merged(&of_leaf)),
            };
            changed.push((lowest.clone(), leaves));
        }
        changed
    }
}

impl Held {
    fn put_all(&mut self, changed: Vec<(Fence, Vec<Leaf>)>) {
        for (lowest, leaves) in changed {
            self.put(lowest, leaves);
        }
    }

    /// Puts leaves in the place of the one with that lowest key.
    fn put(&mut self, lowest: Fence, leaves: Vec<Leaf>) {
        if let Some(leaf) = self.view.leaves.remove(&lowest) {
            self.bytes -= leaf.cost();
        }
        // Without a leaf of its own, a place belongs to the leaf before it.
        let nothing = (leaves.is_empty() && lowest.is_empty()).then(Leaf::default);
        let (mut lowest, mut last) = (Some(lowest), Fence::default());
        for leaf in leaves.into_iter().chain(nothing) {
            self.bytes += leaf.cost();
            let key = lowest.take().unwrap_or_else(|| fence(&last, leaf.lowest()));
            last = leaf.highest().into();
            self.view.leaves.insert(key, Arc::new(leaf));
        }
    }

    /// Evicts entries from the end down to `limit` bytes; returns whether nothing was evicted.
    fn shrink(&mut self, limit: usize) -> bool {
        let mut fits = true;
        while self.bytes > limit
            && let Some((lowest, leaf)) = self.view.leaves.pop_last()
        {
            self.bytes -= leaf.cost();
            self.view.upto = HeldUpTo::Key(lowest);
            fits = false;
        }
        fits
    }
}

/// Visits the keys that begin with `prefix`, those above `after` if it is given, as far as they are held; answers where
/// to go on in the database. `place` finds among what is held where the keys with the prefix go on.
pub(super) fn scan_held(
    place: &dyn Fn(Bound<&[u8]>) -> Lookup,
    prefix: &[u8],
    after: Option<&[u8]>,
    visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
) -> Option<Bound<Vec<u8>>> {
    let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
    let mut behind: Option<Fence> = None;
    loop {
        let from = behind.as_deref().map_or(start, Bound::Included);
        let (leaf, begin, next) = match place(from) {
            Lookup::Held { leaf, begin, next } => (leaf, begin, next),
            Lookup::Nothing => return None,
            Lookup::Elsewhere => return Some(from.map(<[u8]>::to_vec)),
        };
        for (key, value) in leaf.from(begin) {
            if !key.starts_with(prefix) || visit(key, value).is_break() {
                return None;
            }
        }
        behind = Some(next?);
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::{LEAF_BYTES, LEAF_COST};
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
            let Lookup::Held { leaf, begin, next } = memory.place(Bound::Included(&at), &[]) else {
                return (held, HeldUpTo::Key(at));
            };
            let entries = leaf.from(begin);
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
            count in 0_usize..60,
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
                let (skipped, left) = memory.skip(&from, count as u64);
                let mut rest = model.keys().filter(|key| key.starts_with(&from));
                let at = rest.clone().position(|key| Some(key) == skipped.as_ref());
                prop_assert_eq!(skipped.is_some(), at.is_some());
                prop_assert_eq!(at.map_or(0, |at| at + 1) + left as usize, count);
                // As many as there are of those that are held.
                let next = rest.nth(at.map_or(0, |at| at + 1));
                prop_assert!(left == 0 || next.is_none_or(|next| !covered(next)));
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
        let leaves = memory.read().view.leaves.len();
        assert!((604_000 / LEAF_BYTES..=2 * 604_000 / LEAF_BYTES).contains(&leaves), "{leaves}");
        let writes: Vec<Write> = keys.iter().map(|key| write(key, None)).collect();
        assert!(memory.apply(writes.iter()));
        assert_eq!((memory.read().view.leaves.len(), memory.bytes()), (1, LEAF_COST));
        assert_eq!(memory.get(&[]), Some(None));
    }

    #[test]
    fn what_does_not_fit_changes_nothing_unless_something_may_be_given_up() {
        let memory = Memory::new(100_000);
        assert!(memory.extend(&[], HeldUpTo::End));
        let write = |key: u8, bytes: usize| Write {
            key: vec![key],
            value: Some(Bytes::from(vec![key; bytes])),
        };
        assert!(memory.apply_if_it_fits([write(1, 60_000)].iter()));
        let before = memory.bytes();
        assert!(!memory.apply_if_it_fits([write(2, 60_000)].iter()));
        assert_eq!((memory.bytes(), memory.upto()), (before, HeldUpTo::End));
        assert_eq!(memory.get(&[2]), Some(None));
        assert!(!memory.apply([write(2, 60_000)].iter()));
        assert_eq!(memory.get(&[2]), None);
    }
}
