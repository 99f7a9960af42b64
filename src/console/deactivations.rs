//! How far the change feed was searched for users whom a connection deactivated, by connection.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far the feed was searched for a user whom a connection deactivated or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeactivationSearch {
    /// There is one.
    Found,
    /// There was none up to this cursor.
    Upto(String),
}

/// The searches. There are as many as there were connections since the start.
#[derive(Default)]
pub(super) struct DeactivationSearches(Mutex<BTreeMap<String, DeactivationSearch>>);

impl DeactivationSearches {
    /// How far the search for a connection is; `None` before the first look.
    pub(super) fn find(&self, connection: &str) -> Option<DeactivationSearch> {
        self.lock().get(connection).cloned()
    }

    /// Notes how far the search for a connection is; with `None` it begins again.
    pub(super) fn set(&self, connection: &str, searched: Option<DeactivationSearch>) {
        match searched {
            Some(searched) => drop(self.lock().insert(connection.to_owned(), searched)),
            None => drop(self.lock().remove(connection)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, DeactivationSearch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
