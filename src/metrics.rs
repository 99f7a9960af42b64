//! Counters, gauges and histograms made of atomics: counting takes no lock and allocates nothing.
//!
//! Each part of scimd owns its metrics; `http/metrics` reads them. A histogram that is read while a value
//! is observed may have the value in its count but not yet in its sum.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only increases, from 0 at the start of the process.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds 1.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Returns the present value.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that increases and decreases.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds 1.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Subtracts 1; the value stays at 0 if it is 0.
    pub fn take_one(&self) {
        // The function never returns `None`, so the update can't fail.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |value| Some(value.saturating_sub(1)));
    }

    /// Returns the present value.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts of observed values by size, up to each of several bounds. The caller chooses the unit.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// The number of values in each interval: one for each bound, and one for values above all bounds.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// Creates an empty histogram; `bounds` are in ascending order.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, counts, sum: Counter::default() }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let place = self.bounds.iter().take_while(|&&bound| bound < value).count();
        if let Some(count) = self.counts.get(place) {
            count.add_one();
        }
        self.sum.add(value);
    }

    /// Returns the counts of all values so far.
    pub fn counts(&self) -> HistogramSnapshot {
        let mut total = 0;
        let up_to = |count: &Counter| {
            total += count.value();
            total
        };
        let mut cumulated: Vec<u64> = self.counts.iter().map(up_to).collect();
        let count = cumulated.pop().unwrap_or_default();
        let buckets = self.bounds.iter().copied().zip(cumulated).collect();
        HistogramSnapshot { buckets, count, sum: self.sum.value() }
    }
}

/// The contents of a histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Each bound, and the number of values up to it.
    pub buckets: Vec<(u64, u64)>,
    /// The number of values.
    pub count: u64,
    /// The sum of all values.
    pub sum: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_what_is_not_above_each_bound() {
        let histogram = Histogram::new(&[1, 5, 10]);
        for value in [0, 1, 2, 5, 6, 11, 1_000] {
            histogram.observe(value);
        }
        let counts = histogram.counts();
        assert_eq!(counts.buckets, [(1, 2), (5, 4), (10, 5)]);
        assert_eq!((counts.count, counts.sum), (7, 1_025));
    }

    #[test]
    fn a_gauge_never_falls_below_none() {
        let gauge = Gauge::default();
        gauge.take_one();
        gauge.add_one();
        assert_eq!(gauge.value(), 1);
    }
}
