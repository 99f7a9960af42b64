//! Reads that must see what was acknowledged anywhere before they began, and wait for that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;

pub(crate) type WaitingRead = oneshot::Sender<Result<(), DirectoryError>>;

/// What the threads and those who wait share.
#[derive(Default)]
pub(crate) struct Latest {
    waiting: Mutex<Vec<WaitingRead>>,
    /// Rung when someone waits, and when the state has moved.
    changed: Condvar,
    closed: AtomicBool,
}

impl Latest {
    fn waiting(&self) -> MutexGuard<'_, Vec<WaitingRead>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, without a thread, until the state has reached what was the head at some moment after the call.
    pub(crate) fn wait(&self) -> oneshot::Receiver<Result<(), DirectoryError>> {
        let (answer, waits) = oneshot::channel();
        self.waiting().push(answer);
        self.changed.notify_all();
        waits
    }

    /// Notes that the state has moved.
    pub(crate) fn moved(&self) {
        // Threads look at the state under the lock, so that the ring is not lost.
        drop(self.waiting());
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.moved();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Those who wait, once there are some; none after a while.
    pub(crate) fn take(&self, limit: Duration) -> Vec<WaitingRead> {
        let empty = |waiting: &mut Vec<WaitingRead>| waiting.is_empty() && !self.is_closed();
        let waited = self.changed.wait_timeout_while(self.waiting(), limit, empty);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting)
    }

    /// Waits until the state has moved so that it is no longer behind; whether that came in time.
    pub(crate) fn wait_while(&self, is_behind: impl Fn() -> bool, patience: Duration) -> bool {
        let since = Stopwatch::start();
        let mut guard = self.waiting();
        while is_behind() && !self.is_closed() {
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !is_behind()
    }
}
