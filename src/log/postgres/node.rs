//! What a node knows of itself and of the database, beside the log.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::format::FORMAT;

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
    /// The newest timeline of the database that it has seen.
    timeline: AtomicU32,
    looked: AtomicBool,
}

impl Node {
    pub(super) fn new(id: [u8; 16], name: String) -> Self {
        let (format, timeline, looked) = (FORMAT, AtomicU32::new(0), AtomicBool::new(false));
        Self { id, name, format, settings: Mutex::default(), timeline, looked }
    }

    /// Notes the digests of the settings in its configuration file.
    pub(super) fn note_settings(&self, digests: &str) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = digests.to_owned();
    }

    /// What was noted of its settings.
    pub(super) fn settings(&self) -> String {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the timeline of a server.
    ///
    /// # Errors
    ///
    /// A newer one was seen before: that one.
    pub(super) fn see_timeline(&self, timeline: u32) -> Result<(), u32> {
        let newest = self.timeline.fetch_max(timeline, Ordering::SeqCst);
        if newest > timeline { Err(newest) } else { Ok(()) }
    }

    /// Whether the server was not looked at before.
    pub(super) fn is_first_look(&self) -> bool {
        !self.looked.swap(true, Ordering::SeqCst)
    }
}
