//! State as it will be once the changes that wait are committed.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;

use super::{Read, StoreError, Write};

/// Keys set and removed, over a state that does not know of it yet.
pub struct Overlay<'a> {
    below: &'a dyn Read,
    writes: BTreeMap<Vec<u8>, Option<Bytes>>,
}

impl<'a> Overlay<'a> {
    /// Nothing set or removed yet.
    pub fn new(below: &'a dyn Read) -> Self {
        Self { below, writes: BTreeMap::new() }
    }

    /// Sets a key.
    pub fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.writes.insert(key, Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Whether a key was removed here.
    pub fn removes(&self, key: &[u8]) -> bool {
        matches!(self.writes.get(key), Some(None))
    }

    /// Whether a key was set or removed here.
    pub fn changes(&self, key: &[u8]) -> bool {
        self.writes.contains_key(key)
    }

    /// How many bytes were set and removed.
    pub fn bytes(&self) -> usize {
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        self.writes.iter().map(|(key, value)| key.len() + size(value)).sum()
    }

    /// What was set and removed, in the order of the keys.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes.into_iter().map(|(key, value)| Write { key, value }).collect()
    }

    /// Takes over what a change sets and removes.
    pub fn absorb(&mut self, writes: &[Write]) {
        self.writes.extend(writes.iter().map(|write| (write.key.clone(), write.value.clone())));
    }
}

impl Read for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.below.get(key),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let above = self.writes.range::<[u8], _>((from, Bound::Unbounded));
        let above = above.map(|(key, value)| (key.as_slice(), value.as_ref()));
        scan_layers(above, self.below, (prefix, after), visit)
    }
}

/// What one change has written, over the state that it changes. It copies nothing: eight bytes for each key.
pub struct WrittenState<'a> {
    below: &'a dyn Read,
    /// The last write of each key, in the order of the keys.
    writes: Vec<&'a Write>,
}

impl<'a> WrittenState<'a> {
    /// The state behind a change.
    pub fn new(below: &'a dyn Read, writes: &'a [Write]) -> Self {
        // Of several writes of a key the last one comes first, and stays.
        let mut writes: Vec<&Write> = writes.iter().rev().collect();
        writes.sort_by(|one, other| one.key.cmp(&other.key));
        writes.dedup_by(|earlier, last| earlier.key == last.key);
        Self { below, writes }
    }

    /// Whether the change has set or removed a key.
    pub fn changes(&self, key: &[u8]) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &[u8]) -> Option<&Write> {
        let at = self.writes.binary_search_by(|write| write.key.as_slice().cmp(key)).ok()?;
        self.writes.get(at).copied()
    }
}

impl Read for WrittenState<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.find(key) {
            Some(write) => Ok(write.value.clone()),
            None => self.below.get(key),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let is_before = |write: &&Write| match after {
            Some(after) => write.key.as_slice() <= after,
            None => write.key.as_slice() < prefix,
        };
        let begin = self.writes.partition_point(is_before);
        let above = self.writes.get(begin..).unwrap_or_default().iter();
        let above = above.map(|write| (write.key.as_slice(), write.value.as_ref()));
        scan_layers(above, self.below, (prefix, after), visit)
    }
}

/// Visits what is in the layer above, beginning at a place, or else in the state below; what the layer above has removed
/// is passed over.
fn scan_layers<'a>(
    above: impl Iterator<Item = (&'a [u8], Option<&'a Bytes>)>,
    below: &dyn Read,
    (prefix, after): (&[u8], Option<&[u8]>),
    visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut above = above.take_while(|(key, _)| key.starts_with(prefix)).peekable();
    let mut flow = ControlFlow::Continue(());
    below.scan(prefix, after, &mut |key, value| {
        while let Some((earlier, value)) = above.next_if(|(above, _)| *above < key) {
            if let Some(value) = value {
                flow = visit(earlier, value.clone());
                if flow.is_break() {
                    return flow;
                }
            }
        }
        flow = match above.next_if(|(above, _)| *above == key) {
            Some((_, None)) => ControlFlow::Continue(()),
            Some((_, Some(newer))) => visit(key, newer.clone()),
            None => visit(key, value),
        };
        flow
    })?;
    for (key, value) in above {
        if let (Some(value), ControlFlow::Continue(())) = (value, flow) {
            flow = visit(key, value.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Read for Nothing {
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
            Ok(None)
        }

        fn scan(
            &self,
            _: &[u8],
            _: Option<&[u8]>,
            _: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
        ) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn keys(state: &dyn Read, after: Option<&[u8]>, at_most: usize) -> Vec<String> {
        let mut seen = Vec::new();
        state
            .scan(b"k", after, &mut |key, value| {
                seen.push(String::from_utf8([key, b"=", &value].concat()).unwrap());
                if seen.len() == at_most {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        seen
    }

    #[test]
    fn layers_read_as_one() {
        let mut below = Overlay::new(&Nothing);
        for key in ["k1", "k3", "k5", "l9"] {
            below.put(key.into(), Bytes::from_static(b"old"));
        }
        let mut state = Overlay::new(&below);
        state.put(b"k2".to_vec(), Bytes::from_static(b"new"));
        state.put(b"k5".to_vec(), Bytes::from_static(b"new"));
        state.put(b"k6".to_vec(), Bytes::from_static(b"new"));
        state.put(b"l1".to_vec(), Bytes::from_static(b"new"));
        state.delete(b"k3".to_vec());
        assert_eq!(keys(&state, None, 9), ["k1=old", "k2=new", "k5=new", "k6=new"]);
        assert_eq!(keys(&state, Some(b"k2"), 9), ["k5=new", "k6=new"]);
        for at_most in 1..4 {
            assert_eq!(keys(&state, None, at_most).len(), at_most);
        }
        assert_eq!(state.get(b"k3").unwrap(), None);
        assert_eq!(state.get(b"k1").unwrap().unwrap(), "old");
    }

    #[test]
    fn a_change_reads_as_what_absorbs_it() {
        let mut below = Overlay::new(&Nothing);
        for key in ["k1", "k3", "k5", "l9"] {
            below.put(key.into(), Bytes::from_static(b"old"));
        }
        let write = |key: &str, value: Option<&'static str>| Write {
            key: key.as_bytes().to_vec(),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        // The last write of a key counts.
        let writes = [
            write("k6", None),
            write("k2", Some("new")),
            write("k6", Some("new")),
            write("j1", Some("new")),
            write("k3", Some("new")),
            write("k3", None),
        ];
        let (change, mut absorbed) = (WrittenState::new(&below, &writes), Overlay::new(&below));
        absorbed.absorb(&writes);
        for after in [None, Some(&b"k1"[..]), Some(b"k2"), Some(b"k25"), Some(b"k9")] {
            assert_eq!(keys(&change, after, 9), keys(&absorbed, after, 9), "{after:?}");
        }
        assert_eq!(keys(&change, None, 9), ["k1=old", "k2=new", "k5=old", "k6=new"]);
        for key in ["j1", "k1", "k2", "k3", "k6", "l9", "z"] {
            let key = key.as_bytes();
            assert_eq!(change.get(key).unwrap(), absorbed.get(key).unwrap());
            assert_eq!(change.changes(key), absorbed.changes(key));
        }
    }
}
