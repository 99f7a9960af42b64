//! The only reader of the time.
//!
//! Everything below the doors takes the time as a value; whoever needs "now" holds a [`Clock`].

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A source of wall-clock time: the system's, or one that stands still for tests.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// Always the same moment.
    Fixed(Timestamp),
}

impl Clock {
    /// The present moment, cut to whole milliseconds: what is stored is what is served.
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

/// Measures how long something takes; not affected by changes of the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// `moment` as RFC 3339 in UTC with milliseconds, as in `2026-03-01T08:15:00.000Z`
/// (RFC 7643, section 2.3.5).
pub fn rfc3339(moment: Timestamp) -> String {
    format!("{moment:.3}")
}
