//! Following a log to which other nodes append: without them nothing here runs.
//!
//! One thread has the writer follow when others have appended. Another finds out the newest head for reads that must
//! see what was acknowledged anywhere before they began: one question serves all that wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Stopwatch;
use crate::directory::core::DirectoryCore;
use crate::directory::error::DirectoryError;
use crate::directory::writer::queue::{Queue, WriterMessage};
use crate::log::{LogError, Position};
use crate::store::StoreError;

/// How long reads wait for the newest head, and for the state to reach it.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the threads look whether they are to end.
const LOOK: Duration = Duration::from_millis(250);

type Waiting = oneshot::Sender<Result<(), DirectoryError>>;

/// What the threads and those who wait share.
#[derive(Default)]
pub(crate) struct Latest {
    waiting: Mutex<Vec<Waiting>>,
    /// Rung when someone waits, and when the state has moved.
    changed: Condvar,
    closed: AtomicBool,
}

impl Latest {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
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
        // Whoever looks at the state does so under the lock, so that the ring is not lost.
        drop(self.waiting());
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.moved();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// Starts both threads.
///
/// # Errors
///
/// The operating system refuses one.
pub(crate) fn start(
    core: &Arc<DirectoryCore>,
    queue: &Arc<Queue>,
) -> Result<Vec<JoinHandle<()>>, DirectoryError> {
    let spawn = |name: &str, run: fn(&DirectoryCore, &Queue)| {
        let (core, queue) = (Arc::clone(core), Arc::clone(queue));
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || run(&core, &queue)).map_err(|error| {
            StoreError::Folder(format!("can't start the thread \"{name}\": {error}"))
        })
    };
    Ok(vec![spawn("log follower", follow)?, spawn("latest reads", answer)?])
}

/// Has the writer follow whenever the state is behind the log.
fn follow(core: &DirectoryCore, queue: &Queue) {
    while !core.latest.is_closed() {
        let applied = core.store.applied().sequence;
        let head = core.log.wait_beyond(applied, LOOK);
        if head.sequence > applied && queue.push(WriterMessage::Follow).is_ok() {
            wait_for(core, head, LOOK);
        }
    }
}

/// Answers those who wait for the newest head.
fn answer(core: &DirectoryCore, queue: &Queue) {
    let latest = &core.latest;
    while !latest.is_closed() {
        let empty = |waiting: &mut Vec<Waiting>| waiting.is_empty() && !latest.is_closed();
        let waited = latest.changed.wait_timeout_while(latest.waiting(), LOOK, empty);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let asked = std::mem::take(&mut *waiting);
        drop(waiting);
        if asked.is_empty() {
            continue;
        }
        let outcome = reach(core, queue);
        for waits in asked {
            let _ = waits.send(match &outcome {
                Ok(()) => Ok(()),
                Err(reason) => Err(StoreError::Unavailable { reason: reason.clone() }.into()),
            });
        }
    }
}

fn reach(core: &DirectoryCore, queue: &Queue) -> Result<(), String> {
    let newest = core.log.newest(PATIENCE).map_err(|error| match error {
        LogError::Unavailable(reason) => reason,
        error => error.to_string(),
    })?;
    if core.store.applied().sequence < newest.sequence {
        let _ = queue.push(WriterMessage::Follow);
    }
    match wait_for(core, newest, PATIENCE) {
        true => Ok(()),
        false => Err("the state has not followed the log in time".to_owned()),
    }
}

/// Waits until the state has reached a position; whether it has.
fn wait_for(core: &DirectoryCore, position: Position, patience: Duration) -> bool {
    let (latest, since) = (&core.latest, Stopwatch::start());
    let is_behind = || core.store.applied().sequence < position.sequence;
    let mut guard = latest.waiting();
    while is_behind() && !latest.is_closed() {
        let left = patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return false;
        }
        let waited = latest.changed.wait_timeout(guard, left);
        guard = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    !is_behind()
}
