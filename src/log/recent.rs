//! The end of the log, in memory: its head, its last frames, and who waits for more.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Frame, Position};

/// How many frames are held.
const FRAMES: usize = 1_024;
/// How many bytes of keys and values are held. Values are shared with readers.
const BYTES: usize = 4 * 1024 * 1024;
/// What a frame takes besides its keys and values, roughly.
const FRAME_COST: usize = 512;

/// The head of a log and its last frames.
pub(crate) struct RecentFrames {
    held: Mutex<Held>,
    moved: Condvar,
}

struct Held {
    head: Position,
    /// The last frames without a gap, oldest first.
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    closed: bool,
}

impl RecentFrames {
    /// Holds no frame yet of a log that ends at `head`.
    pub(crate) fn new(head: Position) -> Self {
        let held = Held { head, frames: VecDeque::new(), bytes: 0, closed: false };
        Self { held: Mutex::new(held), moved: Condvar::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of the last frame.
    pub(crate) fn head(&self) -> Position {
        self.held().head
    }

    /// Appends frames that follow the head, and wakes the readers that wait for them.
    pub(crate) fn push(&self, frames: &[Arc<Frame>]) {
        let Some(last) = frames.last() else { return };
        // Freed only after the lock is released: it may be much.
        let mut dropped = Vec::new();
        {
            let mut held = self.held();
            held.head = last.position();
            for frame in frames {
                held.bytes += cost(frame);
                held.frames.push_back(Arc::clone(frame));
            }
            while held.frames.len() > FRAMES || held.bytes > BYTES {
                let Some(oldest) = held.frames.pop_front() else { break };
                held.bytes -= cost(&oldest);
                dropped.push(oldest);
            }
        }
        self.moved.notify_all();
    }

    /// The frames after a sequence; `None` if not all of them are held.
    pub(crate) fn after(&self, sequence: u64) -> Option<Vec<Arc<Frame>>> {
        let held = self.held();
        if sequence >= held.head.sequence {
            return Some(Vec::new());
        }
        let first = held.frames.front()?.sequence;
        let skip = usize::try_from((sequence + 1).checked_sub(first)?).ok()?;
        Some(held.frames.iter().skip(skip).cloned().collect())
    }

    /// Blocks until the head is beyond a sequence, this is closed, or `patience` has passed.
    pub(crate) fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position {
        let waiting = self.held();
        let wait = |held: &mut Held| held.head.sequence <= sequence && !held.closed;
        let waited = self.moved.wait_timeout_while(waiting, patience, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0.head
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.held().closed = true;
        self.moved.notify_all();
    }
}

fn cost(frame: &Frame) -> usize {
    FRAME_COST + frame.bytes() + frame.writes.len() * 64
}
