//! Limits that the server sets on its own process.

use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging::LogFlusher;

/// Signals that end a process which does not expect them and mean nothing to the server: SIGUSR1, SIGUSR2, SIGALRM,
/// SIGSTKFLT, SIGVTALRM, SIGPROF, SIGIO, SIGPWR.
const MEANINGLESS: [i32; 8] = [10, 12, 14, 16, 26, 27, 29, 30];

/// Keeps the memory of this process, which holds secrets, out of core files and from other processes of its user.
pub fn protect_memory() {
    let protected = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }));
    if let Err(error) = protected {
        tracing::warn!(%error, "can't exclude the memory of this process from core files");
    }
}

/// Takes the signals that mean nothing, so that they end nothing. Must be called within the runtime; the signals
/// are ignored for as long as the process lives.
pub(super) fn ignore_meaningless_signals() -> std::io::Result<Vec<Signal>> {
    MEANINGLESS.into_iter().map(|number| signal(SignalKind::from_raw(number))).collect()
}

/// Ends the process after some time, whatever still runs: a snapshot, an undo, a check. It then ends as if it had been
/// killed, which loses nothing that was acknowledged.
pub(super) fn end_after(time: Duration, log: LogFlusher) {
    let end = move || {
        std::thread::sleep(time);
        tracing::warn!(
            "some work did not finish in time and was abandoned; the next start takes a little longer"
        );
        log.flush();
        exit();
    };
    // Without the thread, the timeout of the unit applies.
    if let Err(error) = std::thread::Builder::new().name("deadline".to_owned()).spawn(end) {
        tracing::warn!(%error, "stopping without a deadline");
    }
}

#[expect(clippy::disallowed_methods, reason = "what can't be interrupted can't be waited for")]
fn exit() -> ! {
    std::process::exit(0)
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn the_memory_is_kept_out_of_core_files() {
        protect_memory();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let Rlimit { current, maximum } = getrlimit(Resource::Core);
        assert_eq!((current, maximum), (Some(0), Some(0)));
    }
}
