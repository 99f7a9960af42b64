//! The dates of a certificate (RFC 5280, section 4.1.2.5).

use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

/// The period in which a certificate is valid; both ends are part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Reads the validity of a certificate in DER; `None` if the bytes are no certificate.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let (not_before, not_after) = (&validity.not_before, &validity.not_after);
        Some(Self { not_before: timestamp(not_before), not_after: timestamp(not_after) })
    }
}

/// The year 9999 means "no end", and its last days are more than a timestamp holds.
fn timestamp(time: &Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
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
    fn a_truncated_certificate_has_no_validity() {
        let whole = certificate(2020, 2060);
        for end in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..end]), None);
        }
    }
}
