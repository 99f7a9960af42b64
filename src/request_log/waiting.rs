//! What waits for the thread of the request log: lines in a buffer, and records whose bodies are not masked yet.

use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bodies::RawBodies;
use super::entry::RequestEntry;

/// The bytes of lines that may wait; what comes then is dropped.
pub(super) const MAX_LINES: usize = 4 << 20;
/// The bytes of bodies that may wait; others are not kept.
const MAX_BODIES: usize = 16 << 20;
/// The capacity that an empty buffer keeps.
const KEPT_CAPACITY: usize = 256 << 10;

/// Hands records over from requests to the thread.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    /// Notified when the first record comes, when someone waits, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    batch: Batch,
    body_bytes: usize,
    is_closed: bool,
}

/// What has gathered.
#[derive(Default)]
pub(super) struct Batch {
    /// Lines of authenticated requests.
    pub(super) served: Vec<u8>,
    /// Lines of denied requests.
    pub(super) denied: Vec<u8>,
    /// Records of authenticated requests whose bodies are kept.
    pub(super) with_bodies: Vec<(Box<RequestEntry>, RawBodies)>,
    /// To be answered once everything before is in the files.
    pub(super) flushes: Vec<SyncSender<()>>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.served.is_empty()
            && self.denied.is_empty()
            && self.with_bodies.is_empty()
            && self.flushes.is_empty()
    }

    /// Empties it, and keeps a part of its capacity.
    pub(super) fn clear(&mut self) {
        for lines in [&mut self.served, &mut self.denied] {
            lines.clear();
            lines.shrink_to(KEPT_CAPACITY);
        }
        self.with_bodies = Vec::new();
        self.flushes.clear();
    }
}

/// Why the thread goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something has come.
    Something,
    /// Nothing has come for a while.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Waiting {
    /// Adds a line; returns whether it has room.
    pub(super) fn add_line(&self, line: &[u8], lines: fn(&mut Batch) -> &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        let was_empty = state.batch.is_empty();
        let lines = lines(&mut state.batch);
        if lines.len() + line.len() > MAX_LINES {
            return false;
        }
        lines.extend_from_slice(line);
        self.wake(state, was_empty);
        true
    }

    /// Adds a record with its bodies; gives the record back if the bodies have no room.
    pub(super) fn add_with_bodies(
        &self,
        entry: Box<RequestEntry>,
        bodies: RawBodies,
    ) -> Result<(), Box<RequestEntry>> {
        let mut state = self.lock();
        if state.body_bytes + bodies.len() > MAX_BODIES {
            return Err(entry);
        }
        let was_empty = state.batch.is_empty();
        state.body_bytes += bodies.len();
        state.batch.with_bodies.push((entry, bodies));
        self.wake(state, was_empty);
        Ok(())
    }

    /// Has `done` notified once everything before is in the files.
    pub(super) fn add_flush(&self, done: SyncSender<()>) {
        let mut state = self.lock();
        state.batch.flushes.push(done);
        // Also while the thread gathers.
        self.wake(state, true);
    }

    /// Ends the thread, once it has written what waits.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits until something has come.
    pub(super) fn wait(&self, at_most: Duration) -> Woken {
        let idle = |state: &mut State| state.batch.is_empty() && !state.is_closed;
        let state = self.changed.wait_timeout_while(self.lock(), at_most, idle);
        let (state, _) = state.unwrap_or_else(PoisonError::into_inner);
        match (state.batch.is_empty(), state.is_closed) {
            (false, _) => Woken::Something,
            (true, true) => Woken::Closed,
            (true, false) => Woken::Nothing,
        }
    }

    /// Lets more come for a while, unless someone waits for what has come. Records do not end it: they wake the thread
    /// only where nothing had come before.
    pub(super) fn gather(&self, at_most: Duration) {
        let more = |state: &mut State| state.batch.flushes.is_empty() && !state.is_closed;
        let state = self.changed.wait_timeout_while(self.lock(), at_most, more);
        drop(state);
    }

    /// Exchanges what has gathered for an empty batch.
    pub(super) fn take(&self, empty: &mut Batch) {
        let mut state = self.lock();
        std::mem::swap(&mut state.batch, empty);
        state.body_bytes = 0;
    }

    /// Wakes the thread if it may be waiting: nothing had come before.
    fn wake(&self, state: MutexGuard<'_, State>, was_empty: bool) {
        drop(state);
        if was_empty {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::entry::sample;
    use super::*;
    use crate::clock::Stopwatch;

    #[test]
    fn lines_wait_up_to_a_limit() {
        let waiting = Waiting::default();
        let line = vec![b'x'; MAX_LINES / 2];
        assert!(waiting.add_line(&line, |batch| &mut batch.served));
        assert!(waiting.add_line(&line, |batch| &mut batch.served), "exactly the limit");
        assert!(!waiting.add_line(b"x", |batch| &mut batch.served));
        assert!(
            waiting.add_line(b"x", |batch| &mut batch.denied),
            "they have a buffer of their own"
        );
        let mut batch = Batch::default();
        waiting.take(&mut batch);
        assert_eq!((batch.served.len(), batch.denied.len()), (MAX_LINES, 1));
        assert!(waiting.add_line(b"x", |batch| &mut batch.served));
    }

    #[test]
    fn bodies_wait_up_to_a_limit() {
        let waiting = Waiting::default();
        let bodies = |bytes| RawBodies {
            request: Bytes::from(vec![b'x'; bytes]),
            answer: Bytes::new(),
            hidden: Arc::default(),
        };
        assert!(waiting.add_with_bodies(Box::new(sample("1")), bodies(MAX_BODIES)).is_ok());
        assert!(waiting.add_with_bodies(Box::new(sample("2")), bodies(1)).is_err());
        waiting.take(&mut Batch::default());
        assert!(waiting.add_with_bodies(Box::new(sample("3")), bodies(1)).is_ok());
    }

    #[test]
    fn gathering_ends_when_someone_waits_for_what_has_come() {
        let waiting = Arc::new(Waiting::default());
        waiting.add_line(b"x", |batch| &mut batch.served);
        let since = Stopwatch::start();
        waiting.gather(Duration::from_millis(20));
        assert!(since.elapsed() >= Duration::from_millis(20), "nothing ended it");
        let other = Arc::clone(&waiting);
        let gathering = std::thread::spawn(move || other.gather(Duration::from_secs(600)));
        waiting.add_flush(std::sync::mpsc::sync_channel(1).0);
        gathering.join().unwrap();
    }

    #[test]
    fn the_end_comes_after_what_waits() {
        let waiting = Waiting::default();
        assert_eq!(waiting.wait(Duration::ZERO), Woken::Nothing);
        waiting.add_line(b"x", |batch| &mut batch.served);
        waiting.close();
        assert_eq!(waiting.wait(Duration::ZERO), Woken::Something);
        waiting.take(&mut Batch::default());
        assert_eq!(waiting.wait(Duration::ZERO), Woken::Closed);
    }
}
