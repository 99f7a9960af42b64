//! One-time codes: six digits for every 30 seconds (RFC 6238), with HMAC-SHA-1, which all authenticator apps have.

use data_encoding::BASE32_NOPAD;
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

/// How long a code lasts, in seconds.
pub const STEP: i64 = 30;
/// The size of a secret, in bytes (RFC 4226, section 4).
pub const CODE_SECRET_BYTES: usize = 20;

/// The secret from which codes are computed. No trait shows it.
pub struct CodeSecret(Zeroizing<[u8; CODE_SECRET_BYTES]>);

impl CodeSecret {
    /// A secret of random bytes.
    pub fn from_random(random: [u8; CODE_SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The bytes of the secret.
    pub(super) fn bytes(&self) -> &[u8; CODE_SECRET_BYTES] {
        &self.0
    }

    /// The secret as people enter it in an app: base32.
    pub fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.as_slice()))
    }

    /// The URI that an app reads from a QR code.
    pub fn uri(&self, name: &str) -> Zeroizing<String> {
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let secret = self.base32();
        Zeroizing::new(format!(
            "otpauth://totp/scimd:{name}?secret={}&issuer=scimd&algorithm=SHA1&digits=6&period={STEP}",
            secret.as_str()
        ))
    }

    /// The time step of a code, in which spaces do not count: that of `now`, in seconds, the one before or the one
    /// after.
    pub fn step_of(&self, code: &str, now: i64) -> Option<i64> {
        let code: String = code.chars().filter(|digit| *digit != ' ').take(7).collect();
        let now = u64::try_from(now).ok()?;
        let step = self.totp().check(&code, now)?;
        i64::try_from(step).ok()
    }

    fn totp(&self) -> Totp {
        Builder::new().with_secret(Secret::new_stack(*self.0)).build_noncompliant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn secret() -> CodeSecret {
        CodeSecret::from_random(*b"12345678901234567890")
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (second, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")]
        {
            assert_eq!(secret().step_of(code, second), Some(second / STEP), "{code}");
        }
    }

    #[test]
    fn a_code_counts_in_its_step_and_the_two_beside_it() {
        let at = |now| secret().step_of("081804", now);
        let step = 1_111_111_109 / STEP;
        let (begin, end) = (step * STEP, step * STEP + STEP - 1);
        for now in [begin - STEP, begin, end, end + STEP] {
            assert_eq!(at(now), Some(step));
        }
        assert_eq!((at(begin - STEP - 1), at(end + STEP + 1)), (None, None));
        assert_eq!(at(-1), None);
    }

    #[test]
    fn spaces_are_overlooked_and_nothing_else_is() {
        let of = |code: &str| secret().step_of(code, 1_111_111_109).is_some();
        assert!(of("081804") && of("081 804") && of(" 081804 "));
        for bad in
            ["", "81804", "0818040", "081805", "+81804", "08180a", "０８１８０４", "081804\n"]
        {
            assert!(!of(bad), "{bad}");
        }
    }

    #[test]
    fn the_uri_names_the_operator_and_its_secret() {
        assert_eq!(
            secret().uri("ada@example.com").as_str(),
            "otpauth://totp/scimd:ada%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=scimd\
             &algorithm=SHA1&digits=6&period=30"
        );
    }
}
