//! Checks of the audit log's chain, which read the whole log: one at a time, and none keeps a browser waiting for long.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, Stopwatch};
use crate::operator::audit::AuditVerification;

/// How long a request waits for a check to end. The check goes on after that.
const PATIENCE: Duration = Duration::from_secs(5);

/// The check that is under way, and what the last one found.
#[derive(Default)]
pub(super) struct Verifications {
    state: Mutex<VerificationState>,
    has_ended: Condvar,
}

#[derive(Default)]
struct VerificationState {
    since: Option<Stopwatch>,
    last: Option<Arc<VerificationOutcome>>,
}

/// What a check found.
pub(super) struct VerificationOutcome {
    /// When it ended.
    pub(super) time: Timestamp,
    /// How long it took.
    pub(super) took: Duration,
    /// The head that the operator had noted down; empty without one.
    pub(super) anchor: String,
    /// What was found, or why nothing could be checked.
    pub(super) found: Result<AuditVerification, String>,
}

impl Verifications {
    /// Begins a check in the background, unless one is under way, and waits for its end for some seconds. Answers
    /// whether it was begun.
    ///
    /// # Errors
    ///
    /// There is no thread for it.
    pub(super) fn begin(
        self: &Arc<Self>,
        anchor: String,
        check: impl FnOnce() -> Result<AuditVerification, String> + Send + 'static,
    ) -> Result<bool, String> {
        let mut state = self.lock();
        if state.since.is_some() {
            return Ok(false);
        }
        let (since, own) = (Stopwatch::start(), Arc::clone(self));
        let work = move || {
            let ending = Ending(&own);
            let found = check();
            let outcome = VerificationOutcome {
                time: Clock::System.now(),
                took: since.elapsed(),
                anchor,
                found,
            };
            own.lock().last = Some(Arc::new(outcome));
            drop(ending);
        };
        let thread = std::thread::Builder::new().name("verify chain".to_owned()).spawn(work);
        thread.map_err(|error| format!("can't start a thread: {error}"))?;
        state.since = Some(since);
        let waiting = |state: &mut VerificationState| state.since.is_some();
        let waited = self.has_ended.wait_timeout_while(state, PATIENCE, waiting);
        drop(waited);
        Ok(true)
    }

    /// How long the check that is under way has taken so far; `None` if there is none.
    pub(super) fn under_way(&self) -> Option<Duration> {
        self.lock().since.map(Stopwatch::elapsed)
    }

    /// What the last check found since the start.
    pub(super) fn last(&self) -> Option<Arc<VerificationOutcome>> {
        self.lock().last.clone()
    }

    fn lock(&self) -> MutexGuard<'_, VerificationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a check, also one that panics.
struct Ending<'a>(&'a Verifications);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.lock().since = None;
        self.0.has_ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_check_runs_at_a_time_and_its_outcome_stays() {
        let all = Arc::new(Verifications::default());
        assert!(all.last().is_none() && all.under_way().is_none());
        let (go, wait) = mpsc::channel::<()>();
        let other = Arc::clone(&all);
        let slow = std::thread::spawn(move || {
            other.begin("1:00".to_owned(), move || {
                wait.recv().map_err(|error| error.to_string())?;
                Ok(AuditVerification { changes: 7, ..AuditVerification::default() })
            })
        });
        while all.under_way().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(all.begin(String::new(), || Err("not run".to_owned())), Ok(false));
        go.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), Ok(true));
        let last = all.last().unwrap();
        assert_eq!((last.found.as_ref().unwrap().changes, last.anchor.as_str()), (7, "1:00"));
        assert!(all.under_way().is_none());
        assert_eq!(all.begin(String::new(), || Err("why".to_owned())), Ok(true));
        assert_eq!(all.last().unwrap().found.as_ref().unwrap_err(), "why");
    }

    #[test]
    fn a_check_that_panics_makes_room_for_the_next() {
        let all = Arc::new(Verifications::default());
        assert_eq!(all.begin(String::new(), || panic!("a fault")), Ok(true));
        assert!(all.under_way().is_none() && all.last().is_none());
        assert_eq!(all.begin(String::new(), || Err("why".to_owned())), Ok(true));
    }
}
