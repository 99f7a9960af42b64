//! Moments as operators name them on the command line.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::config::duration;

/// A moment in the past: named, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    /// Reads RFC 3339, a date or date and time in UTC, or a duration.
    ///
    /// # Errors
    ///
    /// Any other text, in words for the operator.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let civil = || {
            let moment: DateTime = text.strip_suffix(" UTC").unwrap_or(text).parse().ok()?;
            TimeZone::UTC.to_timestamp(moment).ok()
        };
        if let Some(moment) = text.parse().ok().or_else(civil) {
            return Ok(Self::At(moment));
        }
        duration::parse(text).map(Self::Ago).map_err(|_| {
            format!(
                "{text:?} is not a moment; expected one as in 2026-03-01T08:15:00Z, a date as in 2026-03-01 \
                 (UTC), or how long ago, as in 24h"
            )
        })
    }

    /// The moment that is meant.
    pub(super) fn moment(self) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(ago) => Clock::System.now().checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_named_in_several_ways() {
        let at = |text: &str| match Since::parse(text).unwrap() {
            Since::At(moment) => moment.to_string(),
            Since::Ago(ago) => format!("{}s", ago.as_secs()),
        };
        assert_eq!(at("2026-03-01T10:15:00+02:00"), "2026-03-01T08:15:00Z");
        assert_eq!(at("2026-03-01T08:15:00.5Z"), "2026-03-01T08:15:00.5Z");
        assert_eq!(at("2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(at("2026-03-01 08:15:00 UTC"), "2026-03-01T08:15:00Z");
        assert_eq!(at(" 24h "), "86400s");
        for wrong in ["", "yesterday", "2026-13-01", "24", "-1h"] {
            assert!(Since::parse(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }
}
