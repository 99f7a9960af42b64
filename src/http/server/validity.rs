//! From when to when a certificate is valid (RFC 5280, section 4.1.2.5).
//!
//! rustls has no need of that on the server's side, so the two dates are read out of the certificate here,
//! past the few fields that stand before them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The tags of DER that matter here.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// How many fields stand between the version and the validity: serial number, algorithm, issuer.
const FIELDS_BEFORE: usize = 3;

/// Both ends count as valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Reads it from a certificate in DER; `None` if that is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate, _) = element(certificate)?;
        let (_, mut fields, _) = element(certificate)?;
        if fields.first() == Some(&VERSION) {
            fields = element(fields)?.2;
        }
        for _ in 0..FIELDS_BEFORE {
            fields = element(fields)?.2;
        }
        let (_, validity, _) = element(fields)?;
        let (tag, from, rest) = element(validity)?;
        let not_before = moment(tag, from)?;
        let (tag, to, _) = element(rest)?;
        Some(Self { not_before, not_after: moment(tag, to)? })
    }
}

/// The first element: its tag, its content, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, &digit| (length << 8) | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on.
fn moment(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(match (tag, text.len()) {
        (UTC_TIME, 12) => 2,
        (GENERALIZED_TIME, 14) => 4,
        _ => return None,
    })?;
    let year: i16 = year.parse().ok()?;
    let year = match tag {
        UTC_TIME if year < 50 => year + 2000,
        UTC_TIME => year + 1900,
        _ => year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let moment = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    // The year 9999 stands for no end, and may be more than a timestamp holds.
    Some(TimeZone::UTC.to_timestamp(moment).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: i32, to: i32) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(from, 1, 2);
        params.not_after = date_time_ymd(to, 12, 31);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        let validity = Validity::of(&certificate(1999, 2049)).unwrap();
        assert_eq!(validity.not_before.to_string(), "1999-01-02T00:00:00Z");
        assert_eq!(validity.not_after.to_string(), "2049-12-31T00:00:00Z");
        let validity = Validity::of(&certificate(2050, 9999)).unwrap();
        assert_eq!(validity.not_before.to_string(), "2050-01-02T00:00:00Z");
        assert_eq!(validity.not_after, Timestamp::MAX);
    }

    #[test]
    fn what_breaks_off_is_no_certificate() {
        let whole = certificate(2020, 2060);
        for end in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..end]), None);
        }
        assert_eq!(moment(UTC_TIME, b"Z"), None);
        assert_eq!(moment(UTC_TIME, "20010200000\u{e9}Z".as_bytes()), None);
        assert_eq!(moment(GENERALIZED_TIME, b"20501301000000Z"), None);
    }
}
