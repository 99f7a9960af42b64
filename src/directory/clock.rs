//! The commands that record an alarm of the clock, and its acceptance.

use serde_json::json;

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::directory::trusted_time::ClockStatus;
use crate::event::{Event, Verb};

/// Records that an operator trusts the clock; before it runs, the writer does.
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

/// Records that the clock is no longer trusted.
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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use jiff::{SignedDuration, Timestamp};

    use crate::clock::Clock;
    use crate::connection::token::TokenOwner;
    use crate::directory::{Directory, GenerateToken, LocalSettings, UnknownAccess};
    use crate::event::Actor;
    use crate::settings::SharedSettings;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    const LIMITS: StoreLimits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };

    /// When a token is created that is generated now.
    fn created(directory: &Directory) -> Timestamp {
        let generate = GenerateToken {
            owner: TokenOwner::Connection("okta".to_owned()),
            valid_for: None,
            description: None,
        };
        directory.submit(Actor::System, generate).wait().unwrap().token.created
    }

    /// The events of the clock in the log, with their times.
    fn events(directory: &Directory) -> Vec<(String, Timestamp)> {
        let mut found = Vec::new();
        let read = directory.log().read(0, &mut |frame| {
            if frame.head.event.kind == "clock" {
                found.push((frame.head.event.to_string(), frame.head.time));
            }
            ControlFlow::Continue(())
        });
        read.unwrap();
        found
    }

    #[test]
    fn a_clock_that_jumps_while_running_times_no_record_until_it_is_accepted() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let jumped = start + SignedDuration::from_hours(10 * 365 * 24);
        let soon = start + SignedDuration::from_mins(5);
        let folder = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(folder.path()).unwrap();
        let store = Arc::new(LocalStore::open(folder, LIMITS, [7; 16], start).unwrap());
        let (shared, local) = (SharedSettings::default(), LocalSettings::for_tests);
        let (log, unknown) = (store.log(), UnknownAccess::Refuse);
        let directory =
            Directory::open(log, store, &shared, unknown, local(Clock::Fixed(start))).unwrap();
        let (tell, told) = channel();
        let publish = move |directory| tell.send(directory).unwrap();
        directory.change_settings(&shared, None, local(Clock::Fixed(jumped)), publish).unwrap();
        let directory = told.recv().unwrap();

        assert!((start..soon).contains(&created(&directory)));
        assert_eq!(directory.time_for_expiry(), jumped);
        assert!(!directory.clock_status().is_trusted);
        directory.accept_clock(Actor::System).unwrap();
        assert_eq!(created(&directory), jumped);
        let [(alarmed, first), (accepted, second)] = &events(&directory)[..] else {
            panic!("{:?}", events(&directory))
        };
        assert_eq!((alarmed.as_str(), accepted.as_str()), ("clock.alarmed", "clock.accepted"));
        assert!((start..soon).contains(first) && *second == jumped);
    }
}
