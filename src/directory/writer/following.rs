//! Following a log to which other nodes append: without them nothing here runs.
//!
//! One thread has the writer follow when others have appended. Another finds out the newest head for reads that wait
//! for it: one question serves all that wait.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::directory::core::DirectoryCore;
use crate::directory::error::DirectoryError;
use crate::directory::writer::queue::{Queue, WriterMessage};
use crate::log::{LogError, Position};
use crate::store::StoreError;

/// How long reads wait for the newest head, and for the state to reach it.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the threads look whether they are to end.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 250 });

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
    while !core.latest.is_closed() {
        let asked = core.latest.take(LOOK);
        if asked.is_empty() {
            continue;
        }
        let outcome = reach(core, queue);
        for waits in asked {
            let outcome = outcome.clone();
            let unavailable = |reason| StoreError::Unavailable { reason }.into();
            let _ = waits.send(outcome.map_err(unavailable));
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
    core.latest.wait_while(|| core.store.applied().sequence < position.sequence, patience)
}
