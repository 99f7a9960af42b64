//! The state at one position of the log, however far the store has gone on since.
//!
//! What memory held then is kept by its leaves, which never change. Every other key is in the database and changes
//! there: before it does, its value is saved for the versions that are held. So a version costs what changes
//! meanwhile, and the writer never waits for a reader.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::database::Database;
use super::memory::{MemoryView, scan_held};
use super::{Read, StoreError, Write};

/// How many keys of the database are read at once.
const PIECE: usize = 256;

/// The state at one position of the log.
pub struct StateVersion {
    sequence: u64,
    database: Arc<Database>,
    kept: Arc<KeptState>,
}

/// What a version keeps of the state.
pub(super) struct KeptState {
    held: MemoryView,
    /// Keys that were not held in memory and have changed since, with their values of then.
    saved: Mutex<BTreeMap<Vec<u8>, Option<Bytes>>>,
}

impl KeptState {
    pub(super) fn new(held: MemoryView) -> Self {
        Self { held, saved: Mutex::default() }
    }

    fn saved(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Option<Bytes>>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the values of keys that are about to change, where they are in the database alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub(super) fn save<'a>(
        &self,
        writes: impl Iterator<Item = &'a Write>,
        database: &dyn Read,
    ) -> Result<(), StoreError> {
        for Write { key, .. } in writes.filter(|write| !self.held.upto().covers(&write.key)) {
            if !self.saved().contains_key(key) {
                let value = database.get(key)?;
                self.saved().insert(key.clone(), value);
            }
        }
        Ok(())
    }
}

impl StateVersion {
    pub(super) fn new(sequence: u64, database: Arc<Database>, kept: Arc<KeptState>) -> Self {
        Self { sequence, database, kept }
    }

    /// The last change that the state includes.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Read for StateVersion {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(value) = self.kept.held.get(key) {
            return Ok(value);
        }
        let saved = || self.kept.saved().get(key).cloned();
        if let Some(value) = saved() {
            return Ok(value);
        }
        let value = self.database.get(key)?;
        // It may have changed meanwhile; then the value of before was saved first.
        Ok(saved().unwrap_or(value))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let place = |from: Bound<&[u8]>| self.kept.held.place(from, prefix);
        let Some(mut from) = scan_held(&place, prefix, after, visit) else { return Ok(()) };
        loop {
            let mut piece = BTreeMap::new();
            let begin = from.as_ref().map(Vec::as_slice);
            self.database.engine.scan_from(begin, prefix, &mut |key, value| {
                piece.insert(key.to_vec(), value);
                if piece.len() < PIECE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            let last = piece.last_key_value().filter(|_| piece.len() == PIECE);
            let last = last.map(|(key, _)| key.clone());
            // What has changed was saved before it did, so it is known by now.
            let upto = last.as_deref().map_or(Bound::Unbounded, Bound::Included);
            let changed = self.kept.saved();
            for (key, value) in changed
                .range::<[u8], _>((begin, upto))
                .take_while(|(key, _)| key.starts_with(prefix))
            {
                match value {
                    Some(value) => drop(piece.insert(key.clone(), value.clone())),
                    None => drop(piece.remove(key)),
                }
            }
            drop(changed);
            for (key, value) in piece {
                if visit(&key, value).is_break() {
                    return Ok(());
                }
            }
            match last {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(()),
            }
        }
    }
}
