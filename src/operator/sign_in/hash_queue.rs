//! The queue for password hashes: one at a time, so that they take 19 MiB in all, and few that wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many may wait beside the one that is being computed.
pub(super) const MAX_WAITING: usize = 16;

/// Lets one piece of work run at a time.
#[derive(Default)]
pub(super) struct HashQueue {
    present: AtomicUsize,
    turn: Mutex<()>,
}

impl HashQueue {
    /// Does a piece of work in turn; `None`, without doing it, if too many wait already.
    pub(super) fn take<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let _place = Place::of(&self.present)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Some(work())
    }
}

/// A place among those who work or wait, given back when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn of(present: &'a AtomicUsize) -> Option<Self> {
        let one_more = |present| (present <= MAX_WAITING).then_some(present + 1);
        let relaxed = Ordering::Relaxed;
        present.fetch_update(relaxed, relaxed, one_more).ok().map(|_| Self(present))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn one_works_sixteen_wait_and_the_next_is_refused() {
        let queue = HashQueue::default();
        let (begun, is_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                queue.take(move || {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                })
            });
            is_begun.recv().unwrap();
            let waiting: Vec<_> =
                (0..MAX_WAITING).map(|_| scope.spawn(|| queue.take(|| ()))).collect();
            while queue.present.load(Ordering::Relaxed) <= MAX_WAITING {
                thread::yield_now();
            }
            assert!(queue.take(|| ()).is_none());
            go_on.send(()).unwrap();
            assert!(waiting.into_iter().all(|one| one.join().unwrap().is_some()));
        });
        assert!(queue.take(|| ()).is_some());
    }
}
