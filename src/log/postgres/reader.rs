//! The thread that follows the log, and finds out its newest head.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::client::CallError;
use super::session::Session;
use super::{Core, lock};
use crate::clock::Stopwatch;
use crate::log::{LogError, Position, ReadLog as _};
use crate::text::with_causes;

/// How often the database is asked without being rung for, and shown a sign of life.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the thread waits after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Who asks for the newest head, and what is known.
#[derive(Default)]
pub(super) struct Reader {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether there is something to look at.
    rung: bool,
    /// How many have asked.
    asked: u64,
    /// How many of them have their answer.
    answered: u64,
    /// The answer.
    head: Position,
}

impl Reader {
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
        let waiting = |state: &mut State| state.answered < mine;
        let waited = self.changed.wait_timeout_while(state, patience, waiting);
        let (state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.answered >= mine).then_some(state.head)
    }

    /// Waits for something to do; how many have asked by then.
    fn wait(&self, limit: Duration) -> u64 {
        let idle = |state: &mut State| !state.rung && state.asked == state.answered;
        let waited = self.changed.wait_timeout_while(lock(&self.state), limit, idle);
        let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        state.rung = false;
        state.asked
    }

    fn answer(&self, asked: u64, head: Position) {
        let mut state = lock(&self.state);
        state.answered = asked;
        state.head = head;
        drop(state);
        self.changed.notify_all();
    }
}

/// Follows until the log is closed.
pub(super) fn run(core: &Arc<Core>) {
    while !core.is_closed() {
        let ring = {
            let core = Arc::downgrade(core);
            let origin = core.upgrade().map(|core| core.origin.clone()).unwrap_or_default();
            move |from: Option<&str>| {
                // What this process appended is copied by the appender.
                if from != Some(origin.as_str())
                    && let Some(core) = core.upgrade()
                {
                    core.reader.ring();
                }
            }
        };
        let followed = core.session(Arc::new(ring)).and_then(|mut session| {
            session.listen().map_err(lost)?;
            core.note(None);
            follow(core, &mut session)
        });
        match followed {
            Ok(()) => return,
            Err(LogError::Unavailable(reason)) => core.note(Some(reason)),
            Err(error) => {
                core.stop(with_causes(&error));
                return;
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn follow(core: &Core, session: &mut Session) -> Result<(), LogError> {
    let mut beat = Stopwatch::start();
    // What was appended before the server was asked to report changes.
    core.reader.ring();
    loop {
        let asked = core.reader.wait(PERIOD.saturating_sub(beat.elapsed()));
        if core.is_closed() {
            return Ok(());
        }
        if session.is_closed() {
            return Err(LogError::Unavailable("the connection was lost".to_owned()));
        }
        if beat.elapsed() >= PERIOD {
            beat = Stopwatch::start();
        }
        session.prove(&core.node, core.copy.head().sequence).map_err(lost)?;
        loop {
            let rows = session.rows_after(core.copy.head().sequence).map_err(lost)?;
            let Some((first, _)) = rows.first() else { break };
            let head = core.copy.head().sequence;
            if *first > head + 1 {
                return Err(LogError::Database(format!(
                    "the database no longer keeps the change after {head}, the last that this node has; move its data \
                     directory aside and start it again"
                )));
            }
            let frames: Vec<Vec<u8>> = rows.into_iter().map(|(_, frame)| frame).collect();
            core.copy.copy(&frames)?;
        }
        core.reader.answer(asked, core.copy.head());
    }
}

fn lost(error: CallError) -> LogError {
    LogError::Unavailable(error.text())
}
