//! Changes that memory has and the database does not have yet.
//!
//! The database follows in larger steps than the log grows: for sled a batch costs much, whatever is in it. What it
//! lacks is in the log, from which it is read again after a crash.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::log::Frame;

/// How long the database may lack a change.
const LONGEST: Duration = Duration::from_millis(100);
/// How many bytes of changes it lacks at most while it can follow, roughly.
const STEP_BYTES: usize = 256 * 1024;
/// How many bytes of changes it may lack, roughly: then what makes changes waits for it.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What the database lacks, and what waits for it to be due.
#[derive(Default)]
pub(super) struct Behind {
    lacks: Mutex<Lacks>,
    changed: Condvar,
}

/// What the database lacks, in the order of the log.
#[derive(Default)]
pub(super) struct Lacks {
    frames: Vec<Arc<Frame>>,
    bytes: usize,
    /// Since the first of them is there.
    since: Option<Stopwatch>,
    /// Whether nobody waits any more.
    is_closed: bool,
}

impl Behind {
    pub(super) fn lock(&self) -> MutexGuard<'_, Lacks> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next frames, with what has locked it.
    pub(super) fn extend(&self, lacks: &mut Lacks, frames: &[Arc<Frame>]) {
        let was_due_later = !lacks.frames.is_empty() && lacks.bytes < STEP_BYTES;
        lacks.since.get_or_insert_with(Stopwatch::start);
        lacks.bytes += frames.iter().map(|frame| frame.bytes()).sum::<usize>();
        lacks.frames.extend_from_slice(frames);
        if !was_due_later || lacks.bytes >= STEP_BYTES {
            self.changed.notify_all();
        }
    }

    /// Waits until the database has to follow; `false` once it is closed.
    pub(super) fn wait_until_due(&self) -> bool {
        let mut lacks = self.lock();
        while !lacks.is_closed {
            let due_in = match &lacks.since {
                Some(_) if lacks.bytes >= STEP_BYTES => return true,
                Some(since) => LONGEST.saturating_sub(since.elapsed()),
                None => Duration::MAX,
            };
            if due_in.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(lacks, due_in);
            lacks = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Ends all waiting, now and later.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }
}

impl Lacks {
    /// Takes what the database lacks, which is going to have it.
    pub(super) fn take(&mut self) -> Vec<Arc<Frame>> {
        (self.bytes, self.since) = (0, None);
        std::mem::take(&mut self.frames)
    }

    /// Whether it may lack no more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }
}
