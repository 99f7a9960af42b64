//! Counts of requests by connection, route and status code, and their durations by route.
//!
//! All label values are known in advance: connections from the configuration, routes from their table.
//! A request adds to existing counters, and no client can create more of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;

use super::daily_quota::RequestsOfDay;
use crate::connection::token::TokenOwner;
use crate::metrics::{Counter, Histogram, HistogramSnapshot};
use crate::scim::error::ScimType;

/// Bounds of the time that requests take, in microseconds.
const DURATIONS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// The status codes of answers. Any other code is counted as the last one.
const CODES: [u16; 19] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415, 429, 501, 503, 500];

/// Counts of the requests of one connection or application, or of all requests without one.
pub(super) struct CallerMetrics {
    /// Distinguishes the caller from all others of this process, whatever is reloaded.
    pub(super) number: usize,
    /// By row of the route table, and by status code.
    by_route: Box<[[Counter; CODES.len()]]>,
    /// Requests without a route, by status code.
    without_route: [Counter; CODES.len()],
    /// Errors by their keyword.
    errors: [Counter; ScimType::ALL.len()],
    /// When the last request was answered, and the last one without an error, in milliseconds since 1970; 0 for
    /// none.
    last_request: AtomicI64,
    last_success: AtomicI64,
    /// Its requests of today, which the daily quota limits.
    pub(super) of_day: RequestsOfDay,
    /// Its consumers of the feed that wait or stream.
    pub(super) waiting: AtomicUsize,
}

impl CallerMetrics {
    fn new(number: usize, routes: usize) -> Self {
        Self {
            number,
            by_route: (0..routes).map(|_| Default::default()).collect(),
            without_route: Default::default(),
            errors: Default::default(),
            last_request: AtomicI64::new(0),
            last_success: AtomicI64::new(0),
            of_day: RequestsOfDay::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    fn note(&self, row: Option<usize>, status: StatusCode) {
        let code = status.as_u16();
        let place = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        let codes = match row {
            Some(row) => self.by_route.get(row),
            None => Some(&self.without_route),
        };
        if let Some(count) = codes.and_then(|codes| codes.get(place)) {
            count.add_one();
        }
    }

    /// Notes what came of an authenticated request.
    pub(super) fn note_outcome(
        &self,
        now: Timestamp,
        status: StatusCode,
        scim_type: Option<ScimType>,
    ) {
        let now = now.as_millisecond();
        self.last_request.store(now, Ordering::Relaxed);
        if !status.is_client_error() && !status.is_server_error() {
            self.last_success.store(now, Ordering::Relaxed);
        }
        let place = scim_type.and_then(|of| ScimType::ALL.iter().position(|known| *known == of));
        if let Some(count) = place.and_then(|place| self.errors.get(place)) {
            count.add_one();
        }
    }

    /// The counts that are not zero, with their row in the route table and their status code.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Option<usize>, u16, u64)> {
        let by_route = self.by_route.iter().enumerate().map(|(row, codes)| (Some(row), codes));
        by_route.chain([(None, &self.without_route)]).flat_map(|(row, codes)| {
            let count = move |(code, count): (u16, &Counter)| (row, code, count.value());
            CODES.into_iter().zip(codes).map(count).filter(|(.., count)| *count > 0)
        })
    }

    /// The errors by their keyword, those that are not zero.
    pub(super) fn errors(&self) -> impl Iterator<Item = (ScimType, u64)> {
        let counts = self.errors.iter().map(Counter::value);
        ScimType::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }

    /// When the last request was answered, and the last one without an error.
    pub(super) fn last(&self) -> [Option<Timestamp>; 2] {
        [&self.last_request, &self.last_success].map(|at| {
            let at = at.load(Ordering::Relaxed);
            Timestamp::from_millisecond(at).ok().filter(|_| at > 0)
        })
    }
}

/// Metrics of all requests.
pub(super) struct RequestMetrics {
    /// Locked to build a context and to read the metrics; never by a request.
    callers: Mutex<BTreeMap<TokenOwner, Arc<CallerMetrics>>>,
    /// Requests that were denied, or that need no credentials.
    unauthenticated: CallerMetrics,
    /// By row of the route table.
    durations: Box<[Histogram]>,
    /// Requests beyond the daily quota of their connection.
    over_quota: Counter,
}

impl RequestMetrics {
    /// The metrics of a service whose route table has that many rows.
    pub(super) fn new(routes: usize) -> Self {
        Self {
            callers: Mutex::default(),
            unauthenticated: CallerMetrics::new(0, routes),
            durations: (0..routes).map(|_| Histogram::new(DURATIONS)).collect(),
            over_quota: Counter::default(),
        }
    }

    /// Returns the metrics of a caller; always the same ones for one owner of tokens.
    pub(super) fn of(&self, owner: &TokenOwner) -> Arc<CallerMetrics> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = callers.len() + 1;
        let new = || Arc::new(CallerMetrics::new(number, self.durations.len()));
        Arc::clone(callers.entry(owner.clone()).or_insert_with(new))
    }

    /// Counts an answered request. `of` is that of its caller, `row` that of its route.
    pub(super) fn note(
        &self,
        of: Option<&CallerMetrics>,
        row: Option<usize>,
        status: StatusCode,
        took: Duration,
    ) {
        of.unwrap_or(&self.unauthenticated).note(row, status);
        if let Some(durations) = row.and_then(|row| self.durations.get(row)) {
            durations.observe(took.as_micros() as u64);
        }
    }

    pub(super) fn note_over_quota(&self) {
        self.over_quota.add_one();
    }

    pub(super) fn over_quota(&self) -> u64 {
        self.over_quota.value()
    }

    /// Visits every caller with its label, and unauthenticated requests as those of a connection without a name.
    pub(super) fn each(&self, visit: &mut dyn FnMut((&'static str, &str), &CallerMetrics)) {
        visit(("connection", ""), &self.unauthenticated);
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        for (owner, requests) in callers.iter() {
            visit((owner.kind(), owner.name()), requests);
        }
    }

    /// The durations of each route's requests, in microseconds, by row.
    pub(super) fn durations(&self) -> impl Iterator<Item = HistogramSnapshot> {
        self.durations.iter().map(Histogram::counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_code() {
        let request_metrics = RequestMetrics::new(5);
        let of = request_metrics.of(&TokenOwner::Connection("okta".to_owned()));
        let took = Duration::from_micros(700);
        for (row, status) in
            [(Some(3), 201), (Some(3), 201), (Some(3), 409), (None, 404), (None, 599)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            request_metrics.note(Some(&of), row, status, took);
        }
        request_metrics.note(None, None, StatusCode::UNAUTHORIZED, took);
        let mut seen = Vec::new();
        request_metrics.each(&mut |(_, name), requests| {
            seen.extend(
                requests.counts().map(|(row, code, count)| (name.to_owned(), row, code, count)),
            );
        });
        let expected = [
            ("", None, 401, 1),
            ("okta", Some(3), 201, 2),
            ("okta", Some(3), 409, 1),
            ("okta", None, 404, 1),
            ("okta", None, 500, 1),
        ];
        assert_eq!(
            seen,
            expected.map(|(name, row, code, count)| (name.to_owned(), row, code, count))
        );
        let durations: Vec<HistogramSnapshot> = request_metrics.durations().collect();
        assert_eq!((durations[3].count, durations[3].sum), (3, 2_100));
        assert_eq!(durations.iter().map(|counts| counts.count).sum::<u64>(), 3);
    }
}
