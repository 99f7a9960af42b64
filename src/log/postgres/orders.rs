//! What the writer has the appending thread do, one thing at a time.
//!
//! The writer waits for a while only. What it has left is still carried out, and nothing else before that.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::session::EncodedFrame;
use crate::log::{LogError, Position};

/// How long the writer waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of an order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// The group is in the log, or the head is where it was asked for.
    Done,
    /// Another node was faster.
    Moved,
}

/// What the thread has to do.
pub(super) enum Order {
    /// Append a group.
    Append(Vec<EncodedFrame>, Position),
    /// Find out whether this is the head.
    Ask(Position),
}

/// The one order, and its answer.
#[derive(Default)]
pub(super) struct Orders {
    state: Mutex<OrderState>,
    changed: Condvar,
}

#[derive(Default)]
struct OrderState {
    order: Option<Order>,
    /// Whether the thread is at an order.
    busy: bool,
    /// Whether the one who gave it has left.
    abandoned: bool,
    answer: Option<Result<Appended, LogError>>,
    rung: bool,
}

impl Orders {
    /// Wakes the thread.
    pub(super) fn ring(&self) {
        lock(&self.state).rung = true;
        self.changed.notify_all();
    }

    /// Gives an order and waits for its answer.
    pub(super) fn carry_out(&self, order: Order) -> Result<Appended, LogError> {
        let free = |state: &mut OrderState| state.busy;
        let waited = self.changed.wait_timeout_while(lock(&self.state), PATIENCE, free);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.busy {
            let reason = "an earlier change was sent, and its answer was lost";
            return Err(LogError::Unavailable(reason.to_owned()));
        }
        *state = OrderState { order: Some(order), busy: true, ..OrderState::default() };
        self.changed.notify_all();
        let waiting = |state: &mut OrderState| state.answer.is_none();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.answer.take() {
            Some(answer) => answer,
            None => {
                state.abandoned = true;
                Err(LogError::Unavailable(format!("no answer within {} s", PATIENCE.as_secs())))
            }
        }
    }

    /// The next order; `None` if none comes in time.
    pub(super) fn next(&self, limit: Duration) -> Option<Order> {
        let idle = |state: &mut OrderState| state.order.is_none() && !state.rung;
        let waited = self.changed.wait_timeout_while(lock(&self.state), limit, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        state.order.take()
    }

    pub(super) fn answer(&self, answer: Result<Appended, LogError>) {
        let mut state = lock(&self.state);
        state.busy = false;
        if !state.abandoned {
            state.answer = Some(answer);
        }
        drop(state);
        self.changed.notify_all();
    }
}

fn lock(state: &Mutex<OrderState>) -> MutexGuard<'_, OrderState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
