//! The thread that follows the log, and finds out its newest head.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::session::Session;
use crate::clock::Stopwatch;
use crate::log::{LogError, ReadLog as _};
use crate::text::with_causes;

/// How often the database is asked without being rung for, and shown a sign of life.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the thread waits after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows until the log is closed.
pub(super) fn run(core: &Arc<Core>) {
    while !core.is_closed() {
        let ring = {
            let (questions, origin) = (Arc::downgrade(&core.reader), core.origin.clone());
            move |from: Option<&str>| {
                // What this process appended is copied by the appender.
                if from != Some(origin.as_str())
                    && let Some(questions) = questions.upgrade()
                {
                    questions.ring();
                }
            }
        };
        let followed = core.session(Arc::new(ring)).and_then(|mut session| {
            session.listen()?;
            core.note(None);
            follow(core, &mut session)
        });
        match followed {
            Ok(()) => return,
            Err(LogError::Unavailable(reason)) => {
                core.leases.forget_others();
                core.note(Some(reason));
            }
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
            // What was given up at the end.
            return Ok(session.renew(&core.leases, &core.node)?);
        }
        if session.is_closed() {
            return Err(LogError::Unavailable("the connection was lost".to_owned()));
        }
        if beat.elapsed() >= PERIOD {
            beat = Stopwatch::start();
        }
        session.prove(&core.node, core.copy.head().sequence)?;
        session.renew(&core.leases, &core.node)?;
        core.catch_up(session)?;
        core.reader.answer(asked, core.copy.head());
    }
}
