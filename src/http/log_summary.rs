//! Refusals in the log: the first of a burst at once, the others as a number.
//!
//! However many requests are refused, the log gets two lines in ten seconds for each network and reason
//! at most, of 64 of them at most, and one for all others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event::Network;

/// How long refusals of one kind are counted before the log tells how many there were.
const PERIOD: Duration = Duration::from_secs(10);
/// How many networks and reasons are told apart.
const KINDS: usize = 64;

/// What is one burst: from where, and the reason's name.
type Kind = (Network, &'static str);

/// The bursts that are under way.
#[derive(Default)]
pub(super) struct LogSummary(Mutex<Table>);

#[derive(Default)]
struct Table {
    bursts: HashMap<Kind, Burst>,
    others: Option<Burst>,
}

struct Burst {
    /// When counting began.
    since: Duration,
    /// How many came after the one that was told.
    more: u64,
}

/// What the log has still to tell of a burst.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    /// From where, and why; `None` for all those that are not told apart.
    pub(super) kind: Option<Kind>,
    /// How many more there were.
    pub(super) count: u64,
    /// In what time.
    pub(super) within: Duration,
}

impl LogSummary {
    /// Notes a refusal; whether the log is to tell of it now.
    pub(super) fn note(&self, kind: Kind, now: Duration) -> bool {
        let mut table = self.lock();
        if let Some(burst) = table.bursts.get_mut(&kind) {
            burst.more += 1;
            return false;
        }
        if table.bursts.len() < KINDS {
            table.bursts.insert(kind, Burst { since: now, more: 0 });
            return true;
        }
        table.others.get_or_insert(Burst { since: now, more: 0 }).more += 1;
        false
    }

    /// What is to be told by now; asked every second or so, so that no burst ends untold.
    pub(super) fn due(&self, now: Duration) -> Vec<Suppressed> {
        self.take(now, PERIOD)
    }

    /// What is left to be told at the end.
    pub(super) fn rest(&self, now: Duration) -> Vec<Suppressed> {
        self.take(now, Duration::ZERO)
    }

    fn take(&self, now: Duration, age: Duration) -> Vec<Suppressed> {
        let mut told = Vec::new();
        let mut due = |kind: Option<Kind>, burst: &mut Burst| {
            let within = now.saturating_sub(burst.since);
            if within < age {
                return true;
            }
            // One that goes on is counted anew; one that has ended is forgotten.
            let count = std::mem::take(&mut burst.more);
            burst.since = now;
            told.extend((count > 0).then_some(Suppressed { kind, count, within }));
            count > 0
        };
        let mut table = self.lock();
        table.bursts.retain(|kind, burst| due(Some(*kind), burst));
        if table.others.as_mut().is_some_and(|others| !due(None, others)) {
            table.others = None;
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(number: u8) -> Network {
        IpAddr::from([192, 0, 2, number]).into()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_as_a_number() {
        let bursts = LogSummary::default();
        let kind = (network(1), "no_token");
        assert!(bursts.note(kind, seconds(100)));
        for _ in 0..412 {
            assert!(!bursts.note(kind, seconds(101)));
        }
        assert!(bursts.note((network(1), "origin"), seconds(101)), "another reason");
        assert!(bursts.note((network(2), "no_token"), seconds(101)), "another network");
        assert_eq!(bursts.due(seconds(109)), []);
        let more = Suppressed { kind: Some(kind), count: 412, within: seconds(10) };
        assert_eq!(bursts.due(seconds(110)), [more]);
        assert!(!bursts.note(kind, seconds(111)), "it goes on");
        let more = Suppressed { kind: Some(kind), count: 1, within: seconds(10) };
        assert_eq!(bursts.due(seconds(120)), [more]);
        assert_eq!(bursts.due(seconds(130)), [], "it has ended");
        assert!(bursts.note(kind, seconds(131)), "and begins again");
    }

    #[test]
    fn no_more_than_so_many_are_told_apart() {
        let bursts = LogSummary::default();
        let told = (0..=255).filter(|&number| bursts.note((network(number), "x"), seconds(0)));
        assert_eq!(told.count(), KINDS);
        let more = bursts.due(seconds(10));
        assert_eq!(
            more,
            [Suppressed { kind: None, count: 256 - KINDS as u64, within: seconds(10) }]
        );
        assert_eq!(bursts.lock().bursts.len(), 0);
    }

    #[test]
    fn the_end_tells_what_is_left() {
        let bursts = LogSummary::default();
        let kind = (network(1), "x");
        bursts.note(kind, seconds(1));
        bursts.note(kind, seconds(2));
        assert_eq!(
            bursts.rest(seconds(3)),
            [Suppressed { kind: Some(kind), count: 1, within: seconds(2) }]
        );
        assert_eq!(bursts.rest(seconds(3)), []);
    }
}
