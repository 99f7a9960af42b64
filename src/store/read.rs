//! The reading side of a store: [`Read`].

use std::ops::ControlFlow;

use bytes::Bytes;

use super::error::StoreError;

/// Reading state.
pub trait Read: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if it could not be read, [`StoreError::Damaged`] if it is not what was
    /// stored.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Visits the keys that begin with `prefix` in order, those above `after` if it is given, until
    /// `visit` breaks off. Values are not checked; [`Read::get`] checks, and remembers damage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if a key could not be read.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Skips the first keys that begin with `prefix`, as far as that takes no visit to each: returns the last key that
    /// was skipped, and how many of `count` are left to skip behind it.
    fn skip(&self, _prefix: &[u8], count: u64) -> (Option<Vec<u8>>, u64) {
        (None, count)
    }
}
