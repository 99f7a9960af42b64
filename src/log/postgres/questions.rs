//! Who asks for the newest head, and the answer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::log::Position;

/// Who asks for the newest head, and what is known.
#[derive(Default)]
pub(super) struct Questions {
    state: Mutex<QuestionState>,
    changed: Condvar,
}

#[derive(Default)]
struct QuestionState {
    /// Whether there is something to look at.
    rung: bool,
    /// How many have asked.
    asked: u64,
    /// How many of them have their answer.
    answered: u64,
    /// The answer.
    head: Position,
}

impl Questions {
    /// Has the thread look.
    pub(super) fn ring(&self) {
        lock(&self.state).rung = true;
        self.changed.notify_all();
    }

    /// The head as the database has it after this call; `None` if it can't be found out in time.
    pub(super) fn newest(&self, patience: Duration) -> Option<Position> {
        let mut state = lock(&self.state);
        state.asked += 1;
        let mine = state.asked;
        self.changed.notify_all();
        let waiting = |state: &mut QuestionState| state.answered < mine;
        let waited = self.changed.wait_timeout_while(state, patience, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.answered >= mine).then_some(state.head)
    }

    /// Waits for something to do; how many have asked by then.
    pub(super) fn wait(&self, limit: Duration) -> u64 {
        let idle = |state: &mut QuestionState| !state.rung && state.asked == state.answered;
        let waited = self.changed.wait_timeout_while(lock(&self.state), limit, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.rung = false;
        state.asked
    }

    pub(super) fn answer(&self, asked: u64, head: Position) {
        let mut state = lock(&self.state);
        state.answered = asked;
        state.head = head;
        drop(state);
        self.changed.notify_all();
    }
}

fn lock(state: &Mutex<QuestionState>) -> MutexGuard<'_, QuestionState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
