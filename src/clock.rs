//! The clock: the only module that reads the system time.
//!
//! Lower layers receive the time as a value. Code that needs the current time holds a [`Clock`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A source of wall-clock time: the system's, or one that stands still for tests.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that always returns the same time.
    Fixed(Timestamp),
}

impl Clock {
    /// Returns the current time, truncated to milliseconds: the precision that is stored and
    /// served.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => {
                let now = Timestamp::now();
                Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
            }
            Self::Fixed(moment) => moment,
        }
    }
}

/// Measures elapsed time, unaffected by changes of the wall clock. The one that was started first is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The same, started earlier.
    #[cfg(test)]
    pub(crate) fn earlier(self, by: Duration) -> Self {
        Self(self.0.checked_sub(by).expect("the machine has run for so long"))
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Formats `moment` as RFC 3339 in UTC with milliseconds, as in `2026-03-01T08:15:00.000Z` (RFC
/// 7643, section 2.3.5).
pub fn rfc3339(moment: Timestamp) -> String {
    format!("{moment:.3}")
}
