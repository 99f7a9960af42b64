//! What a node knows of itself and of the database, beside the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::FORMAT;
use crate::clock::Stopwatch;

/// How long nothing is appended on a timeline that is new to this node. A promotion begins one; for a second from then on
/// (`PROOF`) a node that is cut off with the old primary may still believe it, and must not miss an acknowledged change.
const NEW_TIMELINE: Duration = Duration::from_millis(1_500);

/// One node of those that share a log.
pub(super) struct Node {
    /// What tells it from the others.
    pub(super) id: [u8; 16],
    /// Its name, for people.
    pub(super) name: String,
    /// The newest format of the log that it knows.
    pub(super) format: i32,
    /// Digests of the settings in its configuration file.
    settings: Mutex<String>,
    /// The newest timeline of the database that it has seen, and since when.
    timeline: Mutex<(u32, Stopwatch)>,
    looked: AtomicBool,
}

impl Node {
    pub(super) fn new(id: [u8; 16], name: String) -> Self {
        let timeline = Mutex::new((0, Stopwatch::start()));
        let (format, looked) = (FORMAT, AtomicBool::new(false));
        Self { id, name, format, settings: Mutex::default(), timeline, looked }
    }

    /// Notes the digests of the settings in its configuration file.
    pub(super) fn note_settings(&self, digests: &str) {
        *lock(&self.settings) = digests.to_owned();
    }

    /// What was noted of its settings.
    pub(super) fn settings(&self) -> String {
        lock(&self.settings).clone()
    }

    /// Notes the timeline of a server.
    ///
    /// # Errors
    ///
    /// A newer one was seen before: that one.
    pub(super) fn see_timeline(&self, timeline: u32) -> Result<(), u32> {
        let mut newest = lock(&self.timeline);
        if newest.0 > timeline {
            return Err(newest.0);
        }
        if newest.0 < timeline {
            *newest = (timeline, Stopwatch::start());
        }
        Ok(())
    }

    /// How long to wait until a change may be appended.
    pub(super) fn held_back(&self) -> Duration {
        match *lock(&self.timeline) {
            // No server was ever promoted.
            (..=1, _) => Duration::ZERO,
            (_, since) => NEW_TIMELINE.saturating_sub(since.elapsed()),
        }
    }

    /// Whether the server was not looked at before.
    pub(super) fn is_first_look(&self) -> bool {
        !self.looked.swap(true, Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_wait_on_a_timeline_that_is_new_unless_it_is_the_first() {
        let node = Node::new([1; 16], "node".to_owned());
        node.see_timeline(1).unwrap();
        assert_eq!(node.held_back(), Duration::ZERO);
        node.see_timeline(3).unwrap();
        assert_eq!(node.see_timeline(2), Err(3));
        let held = node.held_back();
        assert!(held > Duration::from_secs(1) && held <= NEW_TIMELINE, "{held:?}");
        let since = lock(&node.timeline).1;
        lock(&node.timeline).1 = since.earlier(NEW_TIMELINE);
        node.see_timeline(3).unwrap();
        assert_eq!(node.held_back(), Duration::ZERO);
    }
}
