//! A wall clock that jumps: by minutes, years, and back to 1970.

use std::env;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static SEED: LazyLock<Option<u64>> =
    LazyLock::new(|| env::var("SHIM_CLOCK").ok().and_then(|text| text.parse().ok()));
static READINGS: AtomicU64 = AtomicU64::new(0);

/// How many readings lie between two jumps.
const STEADY: u64 = 20;
const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// What the jumps are drawn from; `None` for a clock that runs as it should.
pub(crate) fn seed() -> Option<u64> {
    *SEED
}

/// What the clock says instead of `now`.
pub(crate) fn jumped(now: i64, seed: u64) -> i64 {
    let stretch = READINGS.fetch_add(1, Ordering::Relaxed) / STEADY;
    let drawn = (seed ^ stretch).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    match drawn % 8 {
        0 | 1 => now,
        2 => now + HOUR,
        3 => now - HOUR,
        4 => now + 10 * YEAR,
        5 => now - 10 * YEAR,
        6 => i64::try_from(drawn % 1_000).unwrap_or_default(),
        _ => now - 1,
    }
}
