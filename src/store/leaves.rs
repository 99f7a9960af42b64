//! The leaves of the state in memory, in the order of their keys; a copy of all of them costs nothing.
//!
//! Leaves stand in branches of bounded length. A change copies the branches that it touches only if a copy of the
//! whole is held, so that a version of the state stays as it is while the state goes on.

use std::ops::Bound;
use std::sync::Arc;

use super::leaf::{Fence, Leaf};

/// How many leaves a branch has at most. A change copies a branch; the list of branches is copied, too.
const BRANCH: usize = 128;

/// An ordered map from the lowest key that a leaf may hold to the leaf.
#[derive(Clone, Default)]
pub(super) struct Leaves {
    branches: Arc<Vec<Branch>>,
}

/// Neighbouring leaves, never none.
#[derive(Clone)]
struct Branch {
    /// The key of the first leaf.
    lowest: Fence,
    /// How many entries all leaves have.
    entries: usize,
    leaves: Arc<Vec<(Fence, Arc<Leaf>)>>,
}

impl Branch {
    fn new(leaves: Vec<(Fence, Arc<Leaf>)>) -> Option<Self> {
        let lowest = leaves.first()?.0.clone();
        let entries = leaves.iter().map(|(_, leaf)| leaf.len()).sum();
        Some(Self { lowest, entries, leaves: Arc::new(leaves) })
    }
}

impl Leaves {
    /// The last leaf whose lowest key is not above a key, and the lowest key of the leaf behind it.
    pub(super) fn around(&self, key: &[u8]) -> Option<(&Arc<Leaf>, Option<&Fence>)> {
        let (at, place) = self.place(key)?;
        let (_, leaf) = self.branches.get(at)?.leaves.get(place)?;
        Some((leaf, self.behind(at, place)))
    }

    /// The last leaf whose lowest key is not above a key.
    pub(super) fn covering(&self, key: &[u8]) -> Option<(&Fence, &Arc<Leaf>)> {
        let (branch, place) = self.place(key)?;
        let (lowest, leaf) = self.branches.get(branch)?.leaves.get(place)?;
        Some((lowest, leaf))
    }

    /// The lowest key of the leaf behind the one that covers a key.
    pub(super) fn following(&self, key: &[u8]) -> Option<&Fence> {
        let Some((branch, place)) = self.place(key) else {
            return self.branches.first().map(|first| &first.lowest);
        };
        self.behind(branch, place)
    }

    /// The lowest key of the leaf behind a place.
    fn behind(&self, branch: usize, place: usize) -> Option<&Fence> {
        let behind = self.branches.get(branch)?.leaves.get(place + 1).map(|(lowest, _)| lowest);
        behind.or_else(|| self.branches.get(branch + 1).map(|next| &next.lowest))
    }

    fn place(&self, key: &[u8]) -> Option<(usize, usize)> {
        let upto = self.branches.partition_point(|branch| *branch.lowest <= *key);
        let branch = upto.checked_sub(1)?;
        let leaves = &self.branches.get(branch)?.leaves;
        let place = leaves.partition_point(|(lowest, _)| **lowest <= *key).checked_sub(1)?;
        Some((branch, place))
    }

    /// Skips the first entries whose keys have a prefix: the key of the last one that was skipped, and how many of
    /// `count` are left when there are no more. Leaves and branches that are skipped whole are not looked into.
    pub(super) fn skip(&self, prefix: &[u8], count: u64) -> (Option<Vec<u8>>, u64) {
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        let mut last = None;
        let Some(begin) = self.place(prefix) else { return (None, count) };
        let goes_on = |next: Option<&Fence>| next.is_some_and(|next| next.starts_with(prefix));
        for (number, branch) in self.branches.iter().enumerate().skip(begin.0) {
            let next = self.branches.get(number + 1).map(|next| &next.lowest);
            if number > begin.0 && goes_on(next) && branch.entries <= left {
                left -= branch.entries;
                last = branch.leaves.last().map(|(_, leaf)| leaf);
                continue;
            }
            let first = if number == begin.0 { begin.1 } else { 0 };
            for (place, (_, leaf)) in branch.leaves.iter().enumerate().skip(first) {
                let is_first = (number, place) == begin;
                let before = if is_first { leaf.begin(Bound::Included(prefix)) } else { 0 };
                let entries = leaf.len() - before;
                if goes_on(self.behind(number, place)) && entries <= left {
                    left -= entries;
                    last = Some(leaf).filter(|_| entries > 0).or(last);
                    continue;
                }
                let entries = leaf.with_prefix(before, prefix).min(left);
                left -= entries;
                let key = (before + entries).checked_sub(1).filter(|_| entries > 0);
                let key = key.and_then(|number| leaf.key_at(number));
                let key = key.or_else(|| last.map(|leaf| leaf.highest()));
                return (key.map(<[u8]>::to_vec), left as u64);
            }
        }
        (last.map(|leaf| leaf.highest().to_vec()), left as u64)
    }

    /// Puts a leaf in its place; answers the one that was there.
    pub(super) fn insert(&mut self, lowest: Fence, leaf: Arc<Leaf>) -> Option<Arc<Leaf>> {
        let branches = Arc::make_mut(&mut self.branches);
        let at = branches.partition_point(|branch| *branch.lowest <= *lowest).saturating_sub(1);
        let Some(branch) = branches.get_mut(at) else {
            branches.extend(Branch::new(vec![(lowest, leaf)]));
            return None;
        };
        let leaves = Arc::make_mut(&mut branch.leaves);
        match leaves.binary_search_by(|(known, _)| known.cmp(&lowest)) {
            Ok(place) => {
                branch.entries += leaf.len();
                let there = leaves.get_mut(place).map(|(_, there)| std::mem::replace(there, leaf));
                branch.entries -= there.as_ref().map_or(0, |there| there.len());
                there
            }
            Err(place) => {
                if place == 0 {
                    branch.lowest = lowest.clone();
                }
                branch.entries += leaf.len();
                leaves.insert(place, (lowest, leaf));
                if leaves.len() > BRANCH
                    && let Some(rest) = Branch::new(leaves.split_off(BRANCH / 2))
                {
                    branch.entries -= rest.entries;
                    branches.insert(at + 1, rest);
                }
                None
            }
        }
    }

    /// Takes the leaf with that lowest key.
    pub(super) fn remove(&mut self, lowest: &[u8]) -> Option<Arc<Leaf>> {
        let (at, place) = self.place(lowest)?;
        if *self.branches.get(at)?.leaves.get(place)?.0 != *lowest {
            return None;
        }
        Some(self.take(at, place)?.1)
    }

    /// Takes the last leaf.
    pub(super) fn pop_last(&mut self) -> Option<(Fence, Arc<Leaf>)> {
        let at = self.branches.len().checked_sub(1)?;
        let place = self.branches.get(at)?.leaves.len().checked_sub(1)?;
        self.take(at, place)
    }

    fn take(&mut self, at: usize, place: usize) -> Option<(Fence, Arc<Leaf>)> {
        let branches = Arc::make_mut(&mut self.branches);
        let branch = branches.get_mut(at)?;
        let leaves = Arc::make_mut(&mut branch.leaves);
        let taken = leaves.remove(place);
        branch.entries -= taken.1.len();
        match leaves.first() {
            Some((lowest, _)) => branch.lowest = lowest.clone(),
            None => drop(branches.remove(at)),
        }
        Some(taken)
    }

    /// How many leaves there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.branches.iter().map(|branch| branch.leaves.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(leaves: &Leaves, model: &BTreeMap<u16, Arc<Leaf>>, key: u16) {
        let bytes = key.to_be_bytes();
        let covering = model.range(..=key).next_back();
        let found = leaves.covering(&bytes);
        assert_eq!(
            found.map(|(lowest, leaf)| (lowest.to_vec(), Arc::as_ptr(leaf))),
            covering.map(|(lowest, leaf)| (lowest.to_be_bytes().to_vec(), Arc::as_ptr(leaf)))
        );
        let from = covering.map_or(Bound::Unbounded, |(lowest, _)| Bound::Excluded(*lowest));
        let following = model.range((from, Bound::Unbounded)).next();
        if let Some((_, behind)) = leaves.around(&bytes) {
            assert_eq!(behind, leaves.following(&bytes));
        }
        assert_eq!(
            leaves.following(&bytes).map(|lowest| lowest.to_vec()),
            following.map(|(lowest, _)| lowest.to_be_bytes().to_vec())
        );
    }

    proptest! {
        #[test]
        fn leaves_are_a_map_and_a_copy_stays_as_it_is(
            steps in proptest::collection::vec((0_u16..2_000, 0_u8..8), 1..3_000),
        ) {
            let (mut leaves, mut model) = (Leaves::default(), BTreeMap::<u16, Arc<Leaf>>::new());
            let mut copy = None;
            for (number, (key, step)) in steps.iter().enumerate() {
                let bytes = key.to_be_bytes();
                match step {
                    0 => {
                        let taken = leaves.remove(&bytes).map(|leaf| Arc::as_ptr(&leaf));
                        prop_assert_eq!(taken, model.remove(key).map(|leaf| Arc::as_ptr(&leaf)));
                    }
                    1 => {
                        let taken = leaves.pop_last().map(|(lowest, _)| lowest.to_vec());
                        let last = model.pop_last().map(|(lowest, _)| lowest.to_be_bytes().to_vec());
                        prop_assert_eq!(taken, last);
                    }
                    _ => {
                        let leaf = Arc::new(Leaf::default());
                        leaves.insert(bytes.as_slice().into(), Arc::clone(&leaf));
                        model.insert(*key, leaf);
                    }
                }
                if number == steps.len() / 2 {
                    copy = Some((leaves.clone(), model.clone()));
                }
                check(&leaves, &model, *key);
            }
            prop_assert_eq!(leaves.len(), model.len());
            let (leaves, model) = copy.unwrap_or_default();
            (0..2_000).step_by(7).for_each(|key| check(&leaves, &model, key));
        }
    }
}
