//! Limits repeated log lines: the first of a kind at once, the others as a count.
//!
//! However often something happens, the log gets at most two lines in ten seconds for each kind, of
//! 64 kinds at most, and one line for all other kinds.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often [`LogSummary::due`] wants to be called, so that no burst stays unreported.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long events of one kind are counted before the log gets their number.
const PERIOD: Duration = Duration::from_secs(10);
/// How many kinds are counted separately.
const MAX_KINDS: usize = 64;

/// Counts events that are too frequent for a log line each. All times count from one start.
pub struct LogSummary<K>(Mutex<Table<K>>);

struct Table<K> {
    bursts: HashMap<K, Burst>,
    others: Option<Burst>,
}

struct Burst {
    /// When counting began.
    since: Duration,
    /// Events without a line of their own since then.
    suppressed: u64,
}

/// A summary that is to be logged.
#[derive(Debug, PartialEq, Eq)]
pub struct Suppressed<K> {
    /// The kind; `None` for all kinds that are not counted separately.
    pub kind: Option<K>,
    /// How many events had no line of their own.
    pub count: u64,
    /// The time in which they happened.
    pub within: Duration,
}

impl<K> Default for LogSummary<K> {
    fn default() -> Self {
        Self(Mutex::new(Table { bursts: HashMap::new(), others: None }))
    }
}

impl<K: Copy + Eq + Hash> LogSummary<K> {
    /// Counts an event. Returns whether to log it now.
    pub fn note(&self, kind: K, now: Duration) -> bool {
        let mut table = self.lock();
        if let Some(burst) = table.bursts.get_mut(&kind) {
            burst.suppressed += 1;
            return false;
        }
        if table.bursts.len() < MAX_KINDS {
            table.bursts.insert(kind, Burst { since: now, suppressed: 0 });
            return true;
        }
        table.others.get_or_insert(Burst { since: now, suppressed: 0 }).suppressed += 1;
        false
    }

    /// Takes the summaries of all bursts that were counted for a period.
    pub fn due(&self, now: Duration) -> Vec<Suppressed<K>> {
        self.take(now, PERIOD)
    }

    /// Takes all summaries, before the process ends.
    pub fn rest(&self, now: Duration) -> Vec<Suppressed<K>> {
        self.take(now, Duration::ZERO)
    }

    fn take(&self, now: Duration, age: Duration) -> Vec<Suppressed<K>> {
        let mut summaries = Vec::new();
        // A burst that goes on is counted from zero; one that has ended is forgotten.
        let mut goes_on = |kind: Option<K>, burst: &mut Burst| {
            let within = now.saturating_sub(burst.since);
            if within < age {
                return true;
            }
            let count = std::mem::take(&mut burst.suppressed);
            burst.since = now;
            summaries.extend((count > 0).then_some(Suppressed { kind, count, within }));
            count > 0
        };
        let mut table = self.lock();
        table.bursts.retain(|kind, burst| goes_on(Some(*kind), burst));
        if table.others.as_mut().is_some_and(|others| !goes_on(None, others)) {
            table.others = None;
        }
        summaries
    }

    fn lock(&self) -> MutexGuard<'_, Table<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_event_is_logged_at_once_and_the_others_are_counted() {
        let summary = LogSummary::default();
        let kind = (network(1), "no_token");
        assert!(summary.note(kind, seconds(100)));
        for _ in 0..412 {
            assert!(!summary.note(kind, seconds(101)));
        }
        assert!(summary.note((network(1), "origin"), seconds(101)), "another reason");
        assert!(summary.note((network(2), "no_token"), seconds(101)), "another network");
        assert_eq!(summary.due(seconds(109)), []);
        let more = Suppressed { kind: Some(kind), count: 412, within: seconds(10) };
        assert_eq!(summary.due(seconds(110)), [more]);
        assert!(!summary.note(kind, seconds(111)), "it goes on");
        let more = Suppressed { kind: Some(kind), count: 1, within: seconds(10) };
        assert_eq!(summary.due(seconds(120)), [more]);
        assert_eq!(summary.due(seconds(130)), [], "it has ended");
        assert!(summary.note(kind, seconds(131)), "and begins again");
    }

    #[test]
    fn kinds_beyond_the_maximum_are_counted_together() {
        let summary = LogSummary::default();
        let logged = (0..=255).filter(|&number| summary.note((network(number), "x"), seconds(0)));
        assert_eq!(logged.count(), MAX_KINDS);
        let more = summary.due(seconds(10));
        assert_eq!(
            more,
            [Suppressed { kind: None, count: 256 - MAX_KINDS as u64, within: seconds(10) }]
        );
        assert_eq!(summary.lock().bursts.len(), 0);
    }

    #[test]
    fn the_rest_is_what_no_summary_has_reported() {
        let summary = LogSummary::default();
        let kind = (network(1), "x");
        summary.note(kind, seconds(1));
        summary.note(kind, seconds(2));
        assert_eq!(
            summary.rest(seconds(3)),
            [Suppressed { kind: Some(kind), count: 1, within: seconds(2) }]
        );
        assert_eq!(summary.rest(seconds(3)), []);
    }
}
