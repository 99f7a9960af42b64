//! Changes that memory has and the database does not have yet.
//!
//! The database follows in larger steps than the log grows: for sled a batch costs much, whatever is in it. What it
//! lacks is in the log, from which it is read again after a crash.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::log::Frame;

/// How long the database may lack a change.
const LONGEST: Duration = Duration::from_millis(100);
/// How many bytes of changes it may lack, roughly.
const MOST_BYTES: usize = 1024 * 1024;

/// What the database lacks, in the order of the log.
#[derive(Default)]
pub(super) struct Behind {
    frames: Vec<Arc<Frame>>,
    bytes: usize,
    /// Since the first of them is there.
    since: Option<Stopwatch>,
}

impl Behind {
    pub(super) fn extend(&mut self, frames: &[Arc<Frame>]) {
        self.since.get_or_insert_with(Stopwatch::start);
        self.bytes += frames.iter().map(|frame| frame.bytes()).sum::<usize>();
        self.frames.extend_from_slice(frames);
    }

    pub(super) fn frames(&self) -> &[Arc<Frame>] {
        &self.frames
    }

    /// The database has them now.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether it may lack no more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }

    /// After how long the database has to have them; `None` if it lacks nothing.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.since.as_ref().map(|since| LONGEST.saturating_sub(since.elapsed()))
    }
}
