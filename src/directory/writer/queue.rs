//! What waits for the writer: two queues, of which the first goes ahead.
//!
//! Operators and scimd itself wait in the first one, which has no bound: each of them waits in place for
//! its answer, so they are few. Clients wait in the second one, from which each connection has one change
//! done in turn; beyond its bound a connection is refused, however few changes of others wait. What takes
//! access away has places of its own. A change of the settings stands among the clients, so that what was
//! handed in before it is done before.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::directory::error::DirectoryError;
use crate::directory::writer::job::QueuedJob;
use crate::directory::writer::settings_change::SettingsChange;

/// How many commands of one connection may wait.
pub(crate) const CAPACITY: usize = 1_024;
/// How many more may wait of those that take access away.
pub(crate) const RESERVE: usize = 256;

/// What the writer is asked to do.
pub(crate) enum WriterMessage {
    /// Make a change.
    Run(Box<dyn QueuedJob>),
    /// Go by other settings from here on.
    ChangeSettings(Box<SettingsChange>),
    /// Follow what other nodes have appended to the log.
    Follow,
}

impl WriterMessage {
    /// Answers that it is not done.
    pub(crate) fn fail(self, error: DirectoryError) {
        match self {
            Self::Run(job) => job.fail(error),
            Self::ChangeSettings(settings_change) => settings_change.fail(error),
            Self::Follow => {}
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
    clients: Rounds,
    state: QueueState,
}

/// What waits for clients, in rounds: in each one every connection that wants something has one command.
#[derive(Default)]
struct Rounds {
    /// By the number of the round, and within it in the order of arrival.
    messages: BTreeMap<(u64, u64), WriterMessage>,
    /// Each connection that ever wanted something.
    lanes: HashMap<String, Lane>,
    /// The first round that takes more: the one that is going on, or the one after a change of the settings.
    first_free: u64,
    arrivals: u64,
}

#[derive(Default)]
struct Lane {
    /// The first round in which the connection has not had a command.
    free: u64,
    waiting: usize,
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
        let (first, clients) = (VecDeque::new(), Rounds::default());
        let waiting = Waiting { first, clients, state: QueueState::Open };
        Self { waiting: Mutex::new(waiting), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; a client's only while there is room.
    pub(crate) fn try_push(&self, message: WriterMessage) -> Result<(), PushError> {
        let capacity = match &message {
            WriterMessage::Run(job) if job.takes_away() => CAPACITY + RESERVE,
            _ => CAPACITY,
        };
        self.add(message, capacity)
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
        match &message {
            WriterMessage::Run(job) if job.connection().is_none() => {
                waiting.first.push_back(message);
            }
            // What comes after it runs against the newer state.
            WriterMessage::Follow => waiting.first.push_front(message),
            _ => waiting.clients.add(message, capacity)?,
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
        self.first.is_empty() && self.clients.messages.is_empty()
    }

    fn pop(&mut self) -> Option<WriterMessage> {
        self.first.pop_front().or_else(|| self.clients.pop())
    }
}

impl Rounds {
    fn add(&mut self, message: WriterMessage, capacity: usize) -> Result<(), PushError> {
        let round = match &message {
            WriterMessage::Run(job) => {
                let connection = job.connection().unwrap_or_default();
                let lane = self.lanes.entry(connection.to_owned()).or_default();
                if lane.waiting >= capacity {
                    return Err(PushError::Full(message));
                }
                let round = lane.free.max(self.first_free);
                lane.free = round + 1;
                lane.waiting += 1;
                round
            }
            // After all that waits, and before all that comes.
            WriterMessage::ChangeSettings(_) | WriterMessage::Follow => {
                let last = self
                    .messages
                    .last_key_value()
                    .map_or(self.first_free, |((round, _), _)| *round);
                self.first_free = last + 1;
                last
            }
        };
        self.messages.insert((round, self.arrivals), message);
        self.arrivals += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<WriterMessage> {
        let ((round, _), message) = self.messages.pop_first()?;
        self.first_free = self.first_free.max(round);
        if let WriterMessage::Run(job) = &message
            && let Some(lane) = job.connection().and_then(|name| self.lanes.get_mut(name))
        {
            lane.waiting -= 1;
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::directory::core::DirectoryCore;
    use crate::directory::settings::Settings;
    use crate::log::LogEntry;
    use crate::store::StoreError;
    use crate::store::overlay::Overlay;

    /// A command with a label, of a connection or of an operator.
    struct Job {
        connection: Option<&'static str>,
        takes_away: bool,
        label: u32,
        answered: Arc<Mutex<Vec<u32>>>,
    }

    impl QueuedJob for Job {
        fn connection(&self) -> Option<&str> {
            self.connection
        }

        fn takes_away(&self) -> bool {
            self.takes_away
        }

        fn is_large(&self) -> bool {
            false
        }

        fn run(
            &mut self,
            _: &Overlay<'_>,
            _: &DirectoryCore,
            _: &Arc<Settings>,
            _: Option<&StoreError>,
        ) -> Vec<LogEntry> {
            Vec::new()
        }

        fn answer(self: Box<Self>, _: &DirectoryCore, _: Option<std::ops::Range<u64>>) {}

        fn fail(self: Box<Self>, _: DirectoryError) {
            self.answered.lock().unwrap().push(self.label);
        }
    }

    #[derive(Default)]
    struct Labels(Arc<Mutex<Vec<u32>>>);

    impl Labels {
        fn job(
            &self,
            connection: Option<&'static str>,
            takes_away: bool,
            label: u32,
        ) -> WriterMessage {
            let answered = Arc::clone(&self.0);
            WriterMessage::Run(Box::new(Job { connection, takes_away, label, answered }))
        }

        fn push(&self, queue: &Queue, connection: Option<&'static str>, label: u32) {
            assert!(queue.try_push(self.job(connection, false, label)).is_ok());
        }

        /// The labels of what waits, in the order in which the writer takes it.
        fn of(&self, queue: &Queue) -> Vec<u32> {
            while let Some(message) = queue.try_pop() {
                message.fail(DirectoryError::Stopped);
            }
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    #[test]
    fn connections_have_their_commands_done_in_turn_and_operators_go_first() {
        let (queue, labels) = (Queue::new(), Labels::default());
        for label in 0..4 {
            labels.push(&queue, Some("loud"), label);
        }
        for label in 10..12 {
            labels.push(&queue, Some("quiet"), label);
        }
        labels.push(&queue, Some("third"), 20);
        labels.push(&queue, None, 30);
        assert_eq!(labels.of(&queue), [30, 0, 10, 20, 1, 11, 2, 3]);
    }

    #[test]
    fn a_connection_that_has_had_its_command_waits_for_the_next_round() {
        let (queue, labels) = (Queue::new(), Labels::default());
        for label in 0..3 {
            labels.push(&queue, Some("loud"), label);
        }
        labels.push(&queue, Some("quiet"), 10);
        for _ in 0..2 {
            queue.try_pop().unwrap().fail(DirectoryError::Stopped);
        }
        // Both have had one in this round.
        labels.push(&queue, Some("quiet"), 11);
        labels.push(&queue, Some("quiet"), 12);
        labels.push(&queue, Some("new"), 20);
        assert_eq!(labels.of(&queue), [0, 10, 20, 1, 11, 2, 12]);
    }

    #[test]
    fn a_full_lane_shuts_nobody_else_out_and_what_takes_away_finds_room_in_it() {
        let (queue, labels) = (Queue::new(), Labels::default());
        for _ in 0..CAPACITY {
            labels.push(&queue, Some("loud"), 0);
        }
        let is_full = |message| matches!(queue.try_push(message), Err(PushError::Full(_)));
        assert!(is_full(labels.job(Some("loud"), false, 1)));
        labels.push(&queue, Some("quiet"), 2);
        for _ in 0..RESERVE {
            assert!(!is_full(labels.job(Some("loud"), true, 3)));
        }
        assert!(is_full(labels.job(Some("loud"), true, 4)));
        assert_eq!(labels.of(&queue)[..3], [0, 2, 0]);
        labels.push(&queue, Some("loud"), 5);
        assert_eq!(labels.of(&queue), [5]);
    }
}
