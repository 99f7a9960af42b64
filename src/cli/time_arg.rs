//! A moment in the past, as operators write it.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::text::duration;

/// Reads a time (RFC 3339), a date-time or a date of UTC, or a duration ago, as in `2h`.
///
/// # Errors
///
/// Any other text, and a time in the future.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let now = Clock::System.now();
    let moment = read(text.trim(), now).ok_or_else(|| {
        format!(
            "invalid time \"{}\": use RFC 3339 (2026-03-01T08:15:00Z) or a duration (30m, 2h, 1d)",
            text.escape_debug()
        )
    })?;
    match moment > now {
        true => Err(format!("{moment} is in the future")),
        false => Ok(moment),
    }
}

fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(ago) = duration::parse(text) {
        return now.checked_sub(ago).ok();
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let civil = text.parse::<DateTime>().ok();
    let civil = civil
        .or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())));
    TimeZone::UTC.to_timestamp(civil?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_durations_are_read() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2h", "2026-03-01T10:00:00Z"),
            ("1d", "2026-02-28T12:00:00Z"),
            ("2026-03-01T08:15:00Z", "2026-03-01T08:15:00Z"),
            ("2026-03-01T08:15:00.25+02:00", "2026-03-01T06:15:00.25Z"),
            ("2026-03-01T08:15", "2026-03-01T08:15:00Z"),
            ("2026-03-01 08:15:30", "2026-03-01T08:15:30Z"),
            ("2026-03-01 08:15:30 UTC", "2026-03-01T08:15:30Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
        ] {
            assert_eq!(read(text, now), Some(moment.parse().unwrap()), "{text}");
        }
        for text in ["", "yesterday", "2h ago", "-2h", "12:00", "2026-13-01"] {
            assert_eq!(read(text, now), None, "{text}");
        }
    }

    #[test]
    fn a_future_time_is_rejected() {
        assert!(parse("9000-01-01").unwrap_err().contains("in the future"));
        assert!(parse("2 hours").unwrap_err().contains("use RFC 3339"));
    }
}
