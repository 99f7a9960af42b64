//! Counts of requests by connection, route and class of status, and their durations by route.
//!
//! All label values are known in advance: connections from the configuration, routes from their table.
//! A request adds to existing counters, and no client can create more of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;

use super::daily_quota::RequestsOfDay;
use crate::metrics::{Counter, Histogram, HistogramSnapshot};

/// Bounds of the time that requests take, in microseconds.
const DURATIONS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// The classes of status codes: 1xx to 5xx.
const CLASSES: usize = 5;

/// Counts of the requests of one connection, or of all requests without one.
pub(super) struct ConnectionMetrics {
    /// Distinguishes the connection from all others of this process, whatever is reloaded.
    pub(super) number: usize,
    /// By row of the route table, and by class of status.
    by_route: Box<[[Counter; CLASSES]]>,
    /// Requests without a route, by class of status.
    without_route: [Counter; CLASSES],
    /// Its requests of today, which the daily quota limits.
    pub(super) of_day: RequestsOfDay,
}

impl ConnectionMetrics {
    fn new(number: usize, routes: usize) -> Self {
        Self {
            number,
            by_route: (0..routes).map(|_| Default::default()).collect(),
            without_route: Default::default(),
            of_day: RequestsOfDay::default(),
        }
    }

    fn note(&self, row: Option<usize>, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let classes = match row {
            Some(row) => self.by_route.get(row),
            None => Some(&self.without_route),
        };
        if let Some(count) = classes.and_then(|classes| classes.get(class)) {
            count.add_one();
        }
    }

    /// The counts that are not zero, with their row in the route table and their class of status.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Option<usize>, usize, u64)> {
        let by_route = self.by_route.iter().enumerate().map(|(row, classes)| (Some(row), classes));
        by_route.chain([(None, &self.without_route)]).flat_map(|(row, classes)| {
            let count = move |(class, count): (usize, &Counter)| (row, class + 1, count.value());
            classes.iter().enumerate().map(count).filter(|(.., count)| *count > 0)
        })
    }
}

/// Metrics of all requests.
pub(super) struct RequestMetrics {
    /// Locked to build a context and to read the metrics; never by a request.
    connections: Mutex<BTreeMap<String, Arc<ConnectionMetrics>>>,
    /// Requests that were denied, or that need no credentials.
    unauthenticated: ConnectionMetrics,
    /// By row of the route table.
    durations: Box<[Histogram]>,
    /// Requests beyond the daily quota of their connection.
    over_quota: Counter,
}

impl RequestMetrics {
    /// The metrics of a service whose route table has that many rows.
    pub(super) fn new(routes: usize) -> Self {
        Self {
            connections: Mutex::default(),
            unauthenticated: ConnectionMetrics::new(0, routes),
            durations: (0..routes).map(|_| Histogram::new(DURATIONS)).collect(),
            over_quota: Counter::default(),
        }
    }

    /// Returns the metrics of a connection; always the same ones for one name.
    pub(super) fn connection(&self, name: &str) -> Arc<ConnectionMetrics> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let number = connections.len() + 1;
        let new = || Arc::new(ConnectionMetrics::new(number, self.durations.len()));
        Arc::clone(connections.entry(name.to_owned()).or_insert_with(new))
    }

    /// Counts an answered request. `of` is that of its connection, `row` that of its route.
    pub(super) fn note(
        &self,
        of: Option<&ConnectionMetrics>,
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

    /// Visits every connection, and unauthenticated requests under an empty name.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&str, &ConnectionMetrics)) {
        visit("", &self.unauthenticated);
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, requests) in connections.iter() {
            visit(name, requests);
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
    fn requests_are_counted_by_route_and_class() {
        let request_metrics = RequestMetrics::new(5);
        let of = request_metrics.connection("okta");
        let took = Duration::from_micros(700);
        for (row, status) in [(Some(3), 200), (Some(3), 201), (Some(3), 409), (None, 404)] {
            let status = StatusCode::from_u16(status).unwrap();
            request_metrics.note(Some(&of), row, status, took);
        }
        request_metrics.note(None, None, StatusCode::UNAUTHORIZED, took);
        let mut seen = Vec::new();
        request_metrics.each(&mut |name, requests| {
            seen.extend(
                requests.counts().map(|(row, class, count)| (name.to_owned(), row, class, count)),
            );
        });
        let expected = [
            ("", None, 4, 1),
            ("okta", Some(3), 2, 2),
            ("okta", Some(3), 4, 1),
            ("okta", None, 4, 1),
        ];
        assert_eq!(
            seen,
            expected.map(|(name, row, class, count)| (name.to_owned(), row, class, count))
        );
        let durations: Vec<HistogramSnapshot> = request_metrics.durations().collect();
        assert_eq!((durations[3].count, durations[3].sum), (3, 2_100));
        assert_eq!(durations.iter().map(|counts| counts.count).sum::<u64>(), 3);
    }
}
