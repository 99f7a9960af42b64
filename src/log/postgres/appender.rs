//! The thread that appends, one group at a time, and finds out what became of a group whose answer was lost.
//!
//! The writer waits for a while only. The thread goes on without it: until it is known whether the group is
//! in the log, nothing else is appended.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::orders::{Appended, Order};
use super::session::{EncodedFrame, SentGroup, Session};
use crate::log::{Append, Frame, LogEntry, LogError, Position, ReadLog as _, frame};
use crate::text::with_causes;

/// How long the turn to append is kept for a group that is being run again.
const TURN: Duration = Duration::from_millis(1_500);
/// How long the thread waits after a failure.
const PAUSE: Duration = Duration::from_millis(250);

/// Appends a group behind a position, for [`crate::log::Log::append`].
pub(super) fn append(
    core: &Core,
    group: Vec<LogEntry>,
    expected: Position,
) -> Result<Append, LogError> {
    let head = core.copy.head();
    if head != expected {
        return Ok(Append::Moved(head));
    }
    let mut last = expected;
    let (mut frames, mut encoded) = (Vec::<Arc<Frame>>::new(), Vec::new());
    for entry in group {
        let mut bytes = Vec::new();
        let frame = frame::make(entry, last, expected.sequence + 1, &mut bytes)?;
        let position = frame.position();
        encoded.push(EncodedFrame { position, previous: frame.previous, bytes });
        frames.push(Arc::new(frame));
        last = position;
    }
    let order = match frames.is_empty() {
        true => Order::Ask(expected),
        false => Order::Append(encoded, expected),
    };
    Ok(match core.appender.carry_out(order)? {
        Appended::Done => Append::Done(frames),
        Appended::Moved => Append::Moved(core.copy.head()),
    })
}

/// Carries out orders until the log is closed.
pub(super) fn run(core: &Arc<Core>) {
    let mut session: Option<Session> = None;
    loop {
        let limit = match session.as_ref().and_then(Session::turn) {
            Some(held) => TURN.saturating_sub(held),
            None => Duration::from_secs(3_600),
        };
        let order = core.appender.next(limit);
        if core.is_closed() {
            return;
        }
        let Some(order) = order else {
            // The group that was to be run again does not come.
            if session.as_mut().is_some_and(|session| session.end_turn().is_err()) {
                session = None;
            }
            continue;
        };
        let answer = match order {
            Order::Ask(expected) => ask(core, &mut session, expected),
            Order::Append(group, expected) => append_group(core, &mut session, &group, expected),
        };
        if answer.is_err() {
            session = None;
        }
        core.appender.answer(answer);
    }
}

/// A session, the one that is open or a new one.
fn open<'a>(core: &Core, session: &'a mut Option<Session>) -> Result<&'a mut Session, LogError> {
    if session.as_ref().is_some_and(Session::is_closed) {
        *session = None;
    }
    match session {
        Some(session) => Ok(session),
        None => Ok(session.insert(core.session(Arc::new(|_| {}))?)),
    }
}

fn ask(
    core: &Core,
    session: &mut Option<Session>,
    expected: Position,
) -> Result<Appended, LogError> {
    let session = open(core, session)?;
    session.end_turn()?;
    session.prove(&core.node, core.copy.head().sequence)?;
    core.catch_up(session)?;
    Ok(if core.copy.head() == expected { Appended::Done } else { Appended::Moved })
}

/// Appends a group, however often it has to be sent until it is known whether it is in the log.
fn append_group(
    core: &Core,
    session: &mut Option<Session>,
    group: &[EncodedFrame],
    expected: Position,
) -> Result<Appended, LogError> {
    let (mut is_sent, mut has_failed) = (false, false);
    loop {
        let tried = open(core, session).and_then(|session| {
            std::thread::sleep(core.node.held_back());
            let mut appended = session.append(group, expected, &core.origin);
            if let Ok(SentGroup::Found) = appended {
                let proven = session.barrier(&core.node, core.copy.head().sequence);
                appended = proven.map(|()| SentGroup::Added);
            }
            is_sent = is_sent || !matches!(&appended, Err(error) if error.is_timeout());
            match appended {
                Ok(SentGroup::Added) => {
                    let frames: Vec<Vec<u8>> =
                        group.iter().map(|frame| frame.bytes.clone()).collect();
                    match core.copy.copy(&frames) {
                        // It is in the log, and will be copied once files can be opened.
                        Err(error) if error.is_momentary() => {
                            Err(LogError::Unavailable(with_causes(&error)))
                        }
                        copied => copied.map(|()| Appended::Done),
                    }
                }
                Ok(SentGroup::Found | SentGroup::Moved) => lose(core, session, expected),
                Err(error) => Err(error.into()),
            }
        });
        match tried {
            Err(LogError::Unavailable(reason)) if is_sent => {
                has_failed = true;
                core.note(Some(reason.clone()));
                *session = None;
                if core.is_closed() || core.stopped_reason().is_some() {
                    return Err(LogError::Unavailable(reason));
                }
                std::thread::sleep(PAUSE);
            }
            Err(error @ LogError::Unavailable(_)) => return Err(error),
            Err(error) => {
                core.stop(with_causes(&error));
                return Err(error);
            }
            Ok(outcome) => {
                if has_failed {
                    core.note(None);
                }
                return Ok(outcome);
            }
        }
    }
}

/// Another node was faster: copies what it appended, and keeps the turn for the group that is run again.
fn lose(core: &Core, session: &mut Session, expected: Position) -> Result<Appended, LogError> {
    // What takes long comes before the turn.
    core.catch_up(session)?;
    match session.take_turn() {
        // Without the turn the group is run again as well; it may lose again.
        Err(error) if error.is_denied() => {}
        turn => turn.map_err(|error| LogError::Unavailable(error.text()))?,
    }
    core.catch_up(session)?;
    if core.copy.head() == expected {
        // Nothing follows the expected head, and yet it is not the head in the database.
        core.check_head(session)?;
        let reason = "the database rejected a change although nothing followed the last one";
        return Err(LogError::Unavailable(reason.to_owned()));
    }
    Ok(Appended::Moved)
}
