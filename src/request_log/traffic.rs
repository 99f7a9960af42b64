//! What each connection asked lately, in figures: counted as requests are answered, so that looking at them costs nothing.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::RequestEntry;
use super::read::newest_first;
use super::{DENIED, SERVED};

/// The minutes over which requests are counted, without the current one.
const MINUTES: i64 = 60;
/// Records that are read at least, however old they are, to find the last request of each connection.
const MIN_RECORDS: usize = 20_000;

/// The requests of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// When its last request was answered.
    pub last_request: Option<Timestamp>,
    /// When its last request without an error was answered.
    pub last_success: Option<Timestamp>,
    /// The number of its requests within the last hour.
    pub requests: u64,
    /// The number of errors among them, without 404: looking for what is not there is normal.
    pub errors: u64,
}

/// Counts the requests of each connection.
#[derive(Default)]
pub(super) struct TrafficCounts(Mutex<BTreeMap<String, Counts>>);

/// The counts of a connection.
#[derive(Default)]
struct Counts {
    last_request: Option<Timestamp>,
    last_success: Option<Timestamp>,
    /// Minutes with requests, counted from the epoch, in order; at most [`MINUTES`] and the current one.
    minutes: VecDeque<Minute>,
}

#[derive(Clone, Copy)]
struct Minute {
    number: i64,
    requests: u64,
    errors: u64,
}

impl TrafficCounts {
    /// Counts a request that was just answered.
    pub(super) fn count(&self, entry: &RequestEntry) {
        let Some(connection) = &entry.connection else { return };
        let mut counts = self.lock();
        match counts.get_mut(connection) {
            Some(counts) => counts.count(entry),
            None => counts.entry(connection.clone()).or_default().count(entry),
        }
    }

    /// Counts the records in the files that were made before a time. The last request of each connection is found
    /// further back as well as the counts, but not in all of the files.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub(super) fn count_files(&self, folder: &Path, made_before: Timestamp) -> io::Result<()> {
        let first = minute(made_before) - MINUTES;
        for ring in [SERVED, DENIED] {
            let mut records = 0;
            newest_first(&folder.join(ring), &mut |entry| {
                records += 1;
                if entry.time < made_before {
                    self.count(&entry);
                }
                minute(entry.time) >= first || records < MIN_RECORDS
            })?;
        }
        Ok(())
    }

    /// The requests of each connection within the hour before a time.
    pub(super) fn upto(&self, now: Timestamp) -> BTreeMap<String, Traffic> {
        let traffic = |(name, counts): (&String, &Counts)| (name.clone(), counts.upto(now));
        self.lock().iter().map(traffic).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn count(&mut self, entry: &RequestEntry) {
        self.last_request = self.last_request.max(Some(entry.time));
        if !entry.has_failed() {
            self.last_success = self.last_success.max(Some(entry.time));
        }
        let number = minute(entry.time);
        let place = self.minutes.partition_point(|minute| minute.number < number);
        if self.minutes.get(place).is_none_or(|minute| minute.number != number) {
            self.minutes.insert(place, Minute { number, requests: 0, errors: 0 });
        }
        if let Some(minute) = self.minutes.get_mut(place) {
            minute.requests += 1;
            minute.errors += u64::from(entry.has_failed() && entry.status != 404);
        }
        let oldest = self.minutes.back().map_or(number, |minute| minute.number) - MINUTES;
        while self.minutes.front().is_some_and(|minute| minute.number < oldest) {
            self.minutes.pop_front();
        }
    }

    fn upto(&self, now: Timestamp) -> Traffic {
        let oldest = minute(now) - MINUTES;
        let lately = || self.minutes.iter().filter(|minute| minute.number >= oldest);
        Traffic {
            last_request: self.last_request,
            last_success: self.last_success,
            requests: lately().map(|minute| minute.requests).sum(),
            errors: lately().map(|minute| minute.errors).sum(),
        }
    }
}

/// The minute of a time, counted from the epoch.
fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::entry::sample;
    use super::*;

    #[test]
    fn requests_of_the_last_hour_are_counted_by_the_minute() {
        let counts = TrafficCounts::default();
        let now = sample("").time;
        let before = |minutes: u64| now - Duration::from_secs(60 * minutes);
        // Also out of order, as two threads may come.
        for (minutes, status) in [(0, 200), (61, 200), (60, 500), (1, 404), (59, 409), (1, 200)] {
            counts.count(&RequestEntry { time: before(minutes), status, ..sample("1") });
        }
        let of = |now| counts.upto(now).remove("okta").unwrap_or_default();
        let found = of(now);
        assert_eq!((found.requests, found.errors), (5, 2));
        assert_eq!((found.last_request, found.last_success), (Some(now), Some(now)));
        let later = of(now + Duration::from_secs(60 * 60));
        assert_eq!((later.requests, later.errors, later.last_request), (1, 0, Some(now)));
        assert_eq!(of(now + Duration::from_secs(2 * 60 * 60)).requests, 0);
    }

    #[test]
    fn what_was_counted_is_bounded() {
        let counts = TrafficCounts::default();
        for number in 0..1_000 {
            let time = sample("").time + Duration::from_secs(60 * number);
            counts.count(&RequestEntry { time, ..sample("1") });
        }
        assert_eq!(counts.lock().values().map(|counts| counts.minutes.len()).sum::<usize>(), 61);
    }
}
