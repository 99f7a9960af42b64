//! What the writer counts.

use crate::metrics::{Gauge, Histogram};

/// Bounds of the number of changes that are committed as one group.
const GROUPS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// What the writer counts.
pub(crate) struct WriterCounters {
    /// Commands that the writer has not taken yet.
    pub(crate) waiting: Gauge,
    /// The number of changes of each group.
    pub(crate) groups: Histogram,
}

impl WriterCounters {
    pub(crate) fn new() -> Self {
        Self { waiting: Gauge::default(), groups: Histogram::new(GROUPS) }
    }
}
