//! When the writer clears what large changes left to be done, and what becomes of a marker that fails.
//!
//! A marker that can't be cleared holds up no other: it is passed over for a minute, then tried again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::membership::Clear;
use crate::store::{Read, Store};
use crate::text::causes;

/// After which time what failed is tried again.
const RETRY_AFTER: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(60) };

/// What the writer knows of what is left to be cleared.
pub(super) struct Clearing {
    /// Whether there may be something to clear now.
    is_due: bool,
    /// What failed, and is passed over until the next retry.
    failed: BTreeSet<Clear>,
    /// Since when something is passed over.
    since: Stopwatch,
    /// What failed and was logged: it is logged once.
    logged: BTreeSet<Clear>,
}

impl Clearing {
    /// A start may find memberships that are left to be cleared.
    pub(super) fn new() -> Self {
        let (failed, logged) = (BTreeSet::new(), BTreeSet::new());
        Self { is_due: true, failed, since: Stopwatch::start(), logged }
    }

    /// In which time there may be something to clear.
    pub(super) fn due_in(&self) -> Duration {
        match (self.is_due, self.failed.is_empty()) {
            (true, _) => Duration::ZERO,
            (false, false) => RETRY_AFTER.saturating_sub(self.since.elapsed()),
            (false, true) => Duration::MAX,
        }
    }

    /// Notes whether changes have left something to be cleared.
    pub(super) fn look(&mut self, state: &dyn Read) {
        self.is_due =
            self.is_due || Clear::next(state, &self.failed).is_ok_and(|next| next.is_some());
    }

    /// What is to be cleared now, if anything is.
    pub(super) fn next(&mut self, store: &dyn Store) -> Option<Clear> {
        if !self.due_in().is_zero() {
            return None;
        }
        if self.since.elapsed() >= RETRY_AFTER {
            self.failed.clear();
        }
        // While nothing can be written, nothing is tried: that is no fault of a marker.
        let next = match store.is_stopped() {
            true => None,
            false => Clear::next(store, &self.failed).ok().flatten(),
        };
        self.is_due = next.is_some();
        next
    }

    /// Notes what became of it.
    pub(super) fn done(
        &mut self,
        clear: Clear,
        outcome: Result<(), DirectoryError>,
        store: &dyn Store,
    ) {
        match outcome {
            Ok(()) => {
                self.logged.remove(&clear);
            }
            // The next change, or the next start, is another try.
            Err(DirectoryError::Busy) => self.is_due = false,
            Err(_) if store.is_stopped() => self.is_due = false,
            Err(error) => self.fail(clear, &error),
        }
    }

    /// Passes over what failed from now on, and logs it if that is new.
    fn fail(&mut self, clear: Clear, error: &DirectoryError) {
        if self.failed.is_empty() {
            self.since = Stopwatch::start();
        }
        self.failed.insert(clear);
        if self.logged.insert(clear) {
            tracing::error!(
                resource = %clear.resource(), %error, cause = causes(error),
                "memberships could not be cleared; retrying every minute"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::resource::ResourceId;

    #[test]
    fn what_fails_is_logged_once_and_due_again_after_a_while() {
        let [one, other] = [1, 2].map(|id| Clear::Void(ResourceId::from_bytes([id; 16])));
        let mut clearing = Clearing { is_due: false, ..Clearing::new() };
        assert_eq!(clearing.due_in(), Duration::MAX);
        for clear in [one, other, one] {
            clearing.fail(clear, &DirectoryError::Internal);
            assert!(clearing.due_in() <= RETRY_AFTER);
        }
        assert_eq!((clearing.failed.len(), clearing.logged.len()), (2, 2));
        std::thread::sleep(RETRY_AFTER);
        assert!(clearing.due_in().is_zero());
    }
}
