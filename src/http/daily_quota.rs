//! The daily quota of a connection: how many requests it may make from midnight to midnight, in UTC.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// Seconds in a day.
const DAY: u64 = 24 * 60 * 60;

/// The daily quota of a connection is used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuotaExceeded {
    /// The quota.
    pub(super) limit: u32,
    /// The time until the next day begins, in UTC.
    pub(super) left: Duration,
}

/// The number of requests that one connection has made today.
#[derive(Default)]
pub(super) struct RequestsOfDay {
    /// The day since 1970 in the upper half, the number of its requests in the lower.
    packed: AtomicU64,
}

impl RequestsOfDay {
    /// Counts a request of `connection` against the limit. Logs the first that exceeds it.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`]: the connection has made `limit` requests today.
    pub(super) fn count(
        &self,
        connection: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), QuotaExceeded> {
        let second = now.as_second().max(0) as u64;
        let number = self.number_on((second / DAY) as u32, 1);
        if number <= limit {
            return Ok(());
        }
        if number == limit + 1 {
            tracing::warn!(
                connection,
                daily_requests = limit,
                "daily quota used up; its requests receive 429 until midnight UTC"
            );
        }
        Err(QuotaExceeded { limit, left: Duration::from_secs(DAY - second % DAY) })
    }

    /// Counts the operations of a bulk request as requests, all or none. The request itself has been counted, and
    /// stands for one of them.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`]: there are more than the connection has left today.
    pub(super) fn count_operations(
        &self,
        operations: usize,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), QuotaExceeded> {
        let further = u32::try_from(operations.saturating_sub(1)).unwrap_or(u32::MAX);
        let second = now.as_second().max(0) as u64;
        let day = (second / DAY) as u32;
        if self.number_on(day, 0).saturating_add(further) > limit {
            return Err(QuotaExceeded { limit, left: Duration::from_secs(DAY - second % DAY) });
        }
        // Requests at the same time may both fit: the next one then finds the quota exceeded.
        self.number_on(day, further);
        Ok(())
    }

    /// Counts further requests on `day`, in days since 1970. Returns the number of requests on that day.
    fn number_on(&self, day: u32, further: u32) -> u32 {
        let next = |packed: u64| {
            let (of, count) = ((packed >> 32) as u32, packed as u32);
            let count = if of == day { count.saturating_add(further) } else { further };
            Some(u64::from(day) << 32 | u64::from(count))
        };
        let (set, fetched) = (Ordering::Relaxed, Ordering::Relaxed);
        // The function never answers `None`: both outcomes are what was there before.
        let (Ok(before) | Err(before)) = self.packed.fetch_update(set, fetched, next);
        next(before).unwrap_or_default() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_is_counted_from_one() {
        let requests = RequestsOfDay::default();
        let numbers = [7, 7, 7, 8, 8, 7].map(|day| requests.number_on(day, 1));
        assert_eq!(numbers, [1, 2, 3, 1, 2, 1]);
    }

    #[test]
    fn the_operations_of_a_bulk_request_are_counted_all_or_none() {
        let requests = RequestsOfDay::default();
        let now = Timestamp::UNIX_EPOCH;
        for (operations, taken) in [(8, true), (3, false), (1, true)] {
            requests.count("a", 10, now).unwrap_or_default();
            assert_eq!(
                requests.count_operations(operations, 10, now).is_ok(),
                taken,
                "{operations}"
            );
        }
        assert!(requests.count("a", 10, now).is_err());
    }
}
