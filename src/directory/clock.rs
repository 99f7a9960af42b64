//! The commands that record an alarm of the clock, and its acceptance.

use serde_json::json;

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::directory::trusted_time::ClockStatus;
use crate::event::{Event, Verb};

/// Records that an operator believes the clock; before it runs, the writer does.
pub(crate) struct AcceptClock {
    /// What the clock was held against until then.
    pub(crate) before: ClockStatus,
}

impl Command for AcceptClock {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;
    const ACCEPTS_CLOCK: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let (before, after) = (json!(self.before.records), json!(tx.now()));
        tx.details().value_changed("time", Some(&before), Some(&after));
        tx.record(event(Verb::Accepted));
        Ok(())
    }
}

/// Records that the clock is no longer believed.
pub(crate) struct RecordClockAlarm {
    /// The clock when it was found out of step.
    pub(crate) status: ClockStatus,
}

impl Command for RecordClockAlarm {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let (expected, clock) = (json!(self.status.expected), json!(self.status.clock));
        tx.details().value_changed("time", Some(&expected), Some(&clock));
        tx.record(event(Verb::Alarmed));
        Ok(())
    }
}

fn event(verb: Verb) -> Event {
    Event { kind: "clock".to_owned(), verb, subject: String::new() }
}
