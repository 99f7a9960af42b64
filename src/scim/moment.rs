//! Moments: values of type dateTime, compared in UTC (RFC 7643, section 2.3.5).

use std::fmt;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The largest distance of local time from UTC in an `xsd:dateTime`.
const MAX_OFFSET: SignedDuration = SignedDuration::from_hours(14);

/// A point in time, as its distance from the start of 1970 in UTC.
///
/// It reaches beyond [`Timestamp`], so that the last second of the year 9999 exists at every offset:
/// clients send it for "never".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(SignedDuration);

impl Moment {
    /// Parses an `xsd:dateTime` with a year of four digits; one without an offset is in UTC. Digits
    /// beyond nanoseconds are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.as_bytes().split_at_checked(19)?;
        let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] =
            head
        else {
            return None;
        };
        let (fraction, zone) = split_fraction(tail)?;
        let two = |digits: [u8; 2]| number(&digits).map(|number| number as i8);
        let year = number(&[y1, y2, y3, y4])? as i16;
        let (month, day) = (two([m1, m2])?, two([d1, d2])?);
        let (hour, minute, second) = (two([h1, h2])?, two([n1, n2])?, two([s1, s2])?);
        // The end of a day may be written as hour 24.
        let ends_day = (hour, minute, second, fraction) == (24, 0, 0, 0);
        let hour = if ends_day { 0 } else { hour };
        let local = DateTime::new(year, month, day, hour, minute, second, fraction).ok()?;
        let since_epoch = local.duration_since(EPOCH) - offset(zone)?;
        Some(Self(since_epoch + SignedDuration::from_hours(if ends_day { 24 } else { 0 })))
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_duration())
    }
}

/// Writes it in UTC; beyond the year 9999 at the largest offset, where it is still in that year.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EPOCH.checked_add(self.0) {
            Ok(utc) => write!(f, "{utc}Z"),
            Err(_) => {
                let local = EPOCH.saturating_add(self.0 - MAX_OFFSET);
                write!(f, "{local}-14:00")
            }
        }
    }
}

/// Splits the nanoseconds from the offset that follows them.
fn split_fraction(tail: &[u8]) -> Option<(i32, &[u8])> {
    let Some(rest) = tail.strip_prefix(b".") else { return Some((0, tail)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = rest.split_at_checked(digits)?;
    let padded = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = number(&padded.collect::<Vec<u8>>())?;
    (digits > 0).then_some((nanoseconds, zone))
}

/// The distance of local time from UTC.
fn offset(zone: &[u8]) -> Option<SignedDuration> {
    let &[sign, h1, h2, b':', m1, m2] = zone else {
        return matches!(zone, b"" | b"Z").then_some(SignedDuration::ZERO);
    };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let offset = SignedDuration::from_mins(i64::from(hours * 60 + minutes));
    match sign {
        _ if minutes > 59 || offset > MAX_OFFSET => None,
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

/// The value of at most nine digits.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, &byte| {
        byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_date_time_is_a_moment() {
        for (text, timestamp) in [
            ("2026-03-01T08:15:00Z", "2026-03-01T08:15:00Z"),
            ("2026-03-01T08:15:00", "2026-03-01T08:15:00Z"),
            ("2026-03-01T08:15:00.5", "2026-03-01T08:15:00.5Z"),
            ("2026-03-01T08:15:00.1234567891Z", "2026-03-01T08:15:00.123456789Z"),
            ("2026-03-01T08:15:00+05:30", "2026-03-01T02:45:00Z"),
            ("2026-03-01T08:15:00-14:00", "2026-03-01T22:15:00Z"),
            ("2026-02-28T24:00:00", "2026-03-01T00:00:00Z"),
            ("0000-02-29T00:00:00Z", "0000-02-29T00:00:00Z"),
        ] {
            let expected = Moment::from(timestamp.parse::<Timestamp>().unwrap());
            assert_eq!(Moment::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_time_is_none() {
        for text in [
            "",
            "never",
            "2026-03-01",
            "2026-03-01T08:15Z",
            "2026-03-01 08:15:00Z",
            "2026-03-01t08:15:00z",
            "2026-03-01T08:15:00+0000",
            "2026-03-01T08:15:00+00",
            "2026-03-01T08:15:00+14:01",
            "2026-03-01T08:15:00+13:60",
            "2026-03-01T08:15:00.Z",
            "2026-03-01T08:15:00,5Z",
            "2026-03-01T08:15:60Z",
            "2026-03-01T24:00:01Z",
            "2026-02-29T08:15:00Z",
            "2026-13-01T08:15:00Z",
            "2026-03-01T08:15:00Zx",
            "+026-03-01T08:15:00Z",
            "2026-03-01T08:15:0\u{661}Z",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_the_last_year_is_in_order_at_every_offset() {
        let ascending = [
            "9999-12-31T23:59:59+14:00",
            "9999-12-31T23:59:59Z",
            "9999-12-31T24:00:00",
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T24:00:00-14:00",
        ]
        .map(|text| Moment::parse(text).unwrap());
        assert!(ascending.is_sorted() && ascending[0] < ascending[1]);
        for moment in &ascending[..4] {
            assert_eq!(Moment::parse(&moment.to_string()), Some(*moment), "{moment}");
        }
    }
}
