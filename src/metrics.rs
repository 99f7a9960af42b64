//! What is counted: atomics alone, so that counting costs no lock and no allocation.
//!
//! Each part of scimd counts for itself; whoever asks reads. A reader may see a sum that is one
//! observation ahead of its count: nothing is added up from that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// How many by now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less; never below none.
    pub fn take_one(&self) {
        // The function never answers `None`, so the update can't fail.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |value| Some(value.saturating_sub(1)));
    }

    /// How many now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How often values up to each bound were seen, in the unit of whoever observes.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what lies above all.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// An empty one with these bounds, in rising order.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, counts, sum: Counter::default() }
    }

    /// Notes a value.
    pub fn observe(&self, value: u64) {
        let place = self.bounds.iter().take_while(|&&bound| bound < value).count();
        if let Some(count) = self.counts.get(place) {
            count.add_one();
        }
        self.sum.add(value);
    }

    /// What was seen by now.
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

/// What a histogram has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Each bound, and how many values were not above it.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// All of them added up.
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
