//! The database as it is read: with checksums looked at, and damage remembered.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::engine::Engine;
use super::{Read, StoreError, keys, record};

/// The open database of a data folder.
pub(super) struct Database {
    pub(super) engine: Engine,
    /// The marker file: if it is present, the next start rebuilds the database.
    pub(super) mark: PathBuf,
    /// Held while it changes, or while it must stay unchanged. Memory that holds all changes without it.
    pub(super) turn: Mutex<()>,
}

impl Database {
    /// Returns a value, unless it is a damaged record. Damage is marked, so that the next start rebuilds
    /// the database.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`].
    pub(super) fn checked(&self, key: &[u8], value: Bytes) -> Result<Bytes, StoreError> {
        if keys::is_record(key) && record::decode(&value).is_none() {
            let error = StoreError::damaged(key);
            self.have_rebuilt(&error.to_string());
            return Err(error);
        }
        Ok(value)
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next start rebuild the database.
    pub(super) fn have_rebuilt(&self, reason: &str) {
        if let Err(cause) = fs::write(&self.mark, reason) {
            tracing::error!(%cause, "can't mark the database for a rebuild");
        }
    }
}

impl Read for Database {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        // A large change comes in parts, and its position with the last: a reader of that waits for all of it.
        let _turn = keys::is_position(key).then(|| self.turn());
        match self.engine.get(key)? {
            Some(value) => self.checked(key, value).map(Some),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.engine.scan(prefix, after, visit)
    }
}
