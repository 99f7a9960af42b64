//! What waits for the writer: two queues, of which the first goes ahead.
//!
//! Operators and scimd itself wait in the first one, which has no bound: each of them waits in place for
//! its answer, so they are few. Clients wait in the second one, and beyond its bound they are refused. A
//! change of the settings stands among the clients, so that what was handed in before it is done before.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::directory::error::DirectoryError;
use crate::directory::writer::job::QueuedJob;
use crate::directory::writer::settings_change::SettingsChange;

/// How many commands of clients may wait.
pub(crate) const CAPACITY: usize = 1_024;

/// What the writer is asked to do.
pub(crate) enum WriterMessage {
    /// Make a change.
    Run(Box<dyn QueuedJob>),
    /// Go by other settings from here on.
    ChangeSettings(Box<SettingsChange>),
}

impl WriterMessage {
    /// Whether it goes ahead of what clients want.
    fn goes_first(&self) -> bool {
        match self {
            Self::Run(job) => job.goes_first(),
            Self::ChangeSettings(_) => false,
        }
    }

    /// Answers that it is not done.
    pub(crate) fn fail(self, error: DirectoryError) {
        match self {
            Self::Run(job) => job.fail(error),
            Self::ChangeSettings(settings_change) => settings_change.fail(error),
        }
    }
}

/// The two queues.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

struct Waiting {
    first: VecDeque<WriterMessage>,
    clients: VecDeque<WriterMessage>,
    state: QueueState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum QueueState {
    /// Messages come and go.
    Open,
    /// No more come, and those that wait go.
    Closed,
    /// None come or go: the writer has ended.
    Stopped,
}

/// Why a message was not taken; the message.
pub(crate) enum PushError {
    Full(WriterMessage),
    Stopped(WriterMessage),
}

/// What the writer finds.
pub(crate) enum Popped {
    Message(WriterMessage),
    /// Nothing came in time.
    Nothing,
    /// Nothing waits, and nothing will come.
    Closed,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let (first, clients) = (VecDeque::new(), VecDeque::new());
        let waiting = Waiting { first, clients, state: QueueState::Open };
        Self { waiting: Mutex::new(waiting), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; a client's only while there is room.
    pub(crate) fn try_push(&self, message: WriterMessage) -> Result<(), PushError> {
        self.add(message, CAPACITY)
    }

    /// Adds a message, however many wait.
    pub(crate) fn push(&self, message: WriterMessage) -> Result<(), PushError> {
        self.add(message, usize::MAX)
    }

    fn add(&self, message: WriterMessage, capacity: usize) -> Result<(), PushError> {
        let mut waiting = self.lock();
        if waiting.state != QueueState::Open {
            return Err(PushError::Stopped(message));
        }
        if message.goes_first() {
            waiting.first.push_back(message);
        } else if waiting.clients.len() < capacity {
            waiting.clients.push_back(message);
        } else {
            return Err(PushError::Full(message));
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// The next message, if one waits.
    pub(crate) fn try_pop(&self) -> Option<WriterMessage> {
        self.lock().pop()
    }

    /// The next message that goes ahead of clients, if one waits.
    pub(crate) fn try_pop_first(&self) -> Option<WriterMessage> {
        self.lock().first.pop_front()
    }

    /// The next message, waited for.
    pub(crate) fn pop_within(&self, limit: Duration) -> Popped {
        let nothing =
            |waiting: &mut Waiting| waiting.is_empty() && waiting.state == QueueState::Open;
        let guard = self.lock();
        let (mut waiting, _) = self
            .arrived
            .wait_timeout_while(guard, limit, nothing)
            .unwrap_or_else(PoisonError::into_inner);
        match waiting.pop() {
            Some(message) => Popped::Message(message),
            None if waiting.state == QueueState::Open => Popped::Nothing,
            None => Popped::Closed,
        }
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) {
        self.lock().state = QueueState::Closed;
        self.arrived.notify_one();
    }

    /// Ends the queue; what still waits, for its senders to be told.
    pub(crate) fn stop(&self) -> Vec<WriterMessage> {
        let mut waiting = self.lock();
        waiting.state = QueueState::Stopped;
        std::iter::from_fn(|| waiting.pop()).collect()
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.clients.is_empty()
    }

    fn pop(&mut self) -> Option<WriterMessage> {
        self.first.pop_front().or_else(|| self.clients.pop_front())
    }
}
