//! Changes that memory has and the database does not have yet.
//!
//! The database follows in larger steps than the log grows: for sled a batch costs much, whatever is in it. What it
//! lacks is in the log, from which it is read again after a crash.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::log::Frame;

/// After how long the database is to have a change.
const LONGEST: Duration = Duration::from_millis(100);
/// After how many bytes of changes it is to have them, roughly.
const STEP_BYTES: usize = 256 * 1024;
/// How many bytes of changes it may lack before another group: then what makes changes waits for it.
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
    /// Whether waiting has ended.
    is_closed: bool,
}

impl Behind {
    pub(super) fn lock(&self) -> MutexGuard<'_, Lacks> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next frames, with what has locked it.
    pub(super) fn extend(&self, lacks: &mut Lacks, frames: &[Arc<Frame>]) {
        let (was_empty, was_due) = (lacks.since.is_none(), lacks.bytes >= STEP_BYTES);
        lacks.since.get_or_insert_with(Stopwatch::start);
        lacks.bytes += frames.iter().map(|frame| frame.bytes()).sum::<usize>();
        lacks.frames.extend_from_slice(frames);
        if was_empty || (lacks.bytes >= STEP_BYTES && !was_due) {
            self.changed.notify_all();
        }
    }

    /// Waits until the database has to follow; `false` once it is closed.
    pub(super) fn wait_until_due(&self) -> bool {
        let mut lacks = self.lock();
        while !lacks.is_closed {
            let due_in = lacks.due_in().unwrap_or(Duration::MAX);
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

    /// After how long the database is to have it; `None` if it lacks nothing.
    fn due_in(&self) -> Option<Duration> {
        let since = self.since.as_ref()?;
        let is_much = self.bytes >= STEP_BYTES;
        Some(if is_much { Duration::ZERO } else { LONGEST.saturating_sub(since.elapsed()) })
    }

    /// Whether it may lack no more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::{Actor, Details, Event, Head, Verb};
    use crate::log::Write;

    fn frame(bytes: usize) -> Arc<Frame> {
        let event = Event { kind: String::new(), verb: Verb::Created, subject: String::new() };
        let (actor, details) = (Actor::System, Details::default());
        let head = Head { time: Timestamp::UNIX_EPOCH, actor, event, details };
        let writes = vec![Write { key: vec![0; bytes], value: None }];
        let (previous, hash) = ([0; 32], [0; 32]);
        Arc::new(Frame { sequence: 1, group: 1, previous, hash, head, writes })
    }

    #[test]
    fn little_is_due_later_and_much_at_once() {
        let behind = Behind::default();
        let mut lacks = behind.lock();
        assert_eq!(lacks.due_in(), None);
        behind.extend(&mut lacks, &[frame(1)]);
        assert!(lacks.due_in().is_some_and(|due| due <= LONGEST));
        behind.extend(&mut lacks, &[frame(STEP_BYTES - 1)]);
        assert_eq!((lacks.due_in(), lacks.is_full()), (Some(Duration::ZERO), false));
        behind.extend(&mut lacks, &[frame(MOST_BYTES - STEP_BYTES)]);
        assert!(lacks.is_full());
        assert_eq!((lacks.take().len(), lacks.due_in(), lacks.is_full()), (3, None, false));
        drop(lacks);
        behind.close();
        assert!(!behind.wait_until_due());
    }
}
