//! Detects a call that hangs, and runs a rescue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that watches calls; it ends with this.
pub(super) struct Watchdog {
    calls: Arc<Calls>,
    /// Closed to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Watchdog {
    /// Watches: when one call has taken longer than `patience`, `rescue` is run, and again after each
    /// further such time.
    ///
    /// # Errors
    ///
    /// The operating system's, if it gives no thread.
    pub(super) fn start(
        patience: Duration,
        rescue: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let calls = Arc::new(Calls::default());
        let watched = Arc::clone(&calls);
        let (end, ended) = channel();
        let thread =
            std::thread::Builder::new().name("store-watch".to_owned()).spawn(move || {
                let mut last = 0;
                while ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    let begun = watched.begun.load(Ordering::SeqCst);
                    let pending = watched.ended.load(Ordering::SeqCst) < begun;
                    if pending && begun == last {
                        rescue();
                    }
                    last = begun;
                }
            })?;
        Ok(Self { calls, end: Some(end), thread: Some(thread) })
    }

    /// Makes a call under watch; one at a time.
    pub(super) fn watch<T>(&self, call: impl FnOnce() -> T) -> T {
        self.calls.begun.fetch_add(1, Ordering::SeqCst);
        let answer = call();
        self.calls.ended.fetch_add(1, Ordering::SeqCst);
        answer
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn only_a_call_that_does_not_come_back_is_rescued() {
        let (rescue, rescued) = channel();
        let patience = Duration::from_millis(20);
        let watchdog = Watchdog::start(patience, move || rescue.send(()).unwrap()).unwrap();
        for _ in 0..20 {
            watchdog.watch(|| std::thread::sleep(Duration::from_millis(1)));
        }
        std::thread::sleep(patience * 4);
        assert!(rescued.try_recv().is_err(), "none has hung");
        watchdog.watch(|| rescued.recv_timeout(Duration::from_secs(10))).unwrap();
        drop(watchdog);
        while rescued.try_recv().is_ok() {}
        assert!(rescued.recv().is_err(), "the thread has ended");
    }
}
