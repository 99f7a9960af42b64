//! Bearer tokens: `scimd_`, 43 base62 characters of secret, 6 of checksum.
//!
//! The checksum distinguishes a mistyped token from a revoked one, and lets secret scanners
//! recognise leaked tokens offline. Only the SHA-256 digest of a token is stored: the secret has
//! 256 bits of entropy, so a slow hash would add nothing.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// The number of random bytes in a token.
pub const SECRET_BYTES: usize = 32;

const PREFIX: &str = "scimd_";
const SECRET_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The secret of a token: shown once, never stored.
pub struct TokenSecret(Secret);

impl TokenSecret {
    /// Creates a token from 256 random bits.
    pub fn from_random(random: [u8; SECRET_BYTES]) -> Self {
        let mut text = String::with_capacity(PREFIX.len() + SECRET_CHARS + CHECK_CHARS);
        text.push_str(PREFIX);
        text.push_str(&base62(&random, SECRET_CHARS));
        let check = checksum(&text);
        text.push_str(&check);
        Self(Secret::new(text))
    }

    /// Parses a presented credential; `None` if it is not a well-formed token.
    pub fn parse(text: &str) -> Option<Self> {
        let expected = PREFIX.len() + SECRET_CHARS + CHECK_CHARS;
        let well_formed = text.len() == expected && text.is_ascii() && text.starts_with(PREFIX);
        let (body, check) = text.split_at_checked(expected - CHECK_CHARS)?;
        (well_formed && checksum(body) == check).then(|| Self(Secret::new(text.to_owned())))
    }

    /// Returns the token in plain text, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the digest under which the token is stored.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.expose()).into())
    }
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut check = [b'0'; CHECK_CHARS];
    for place in check.iter_mut().rev() {
        *place = digit(rest % 62);
        rest /= 62;
    }
    String::from_utf8_lossy(&check).into_owned()
}

/// A digit of base 62.
fn digit(value: u32) -> u8 {
    BASE62.get(value as usize).copied().unwrap_or(b'0')
}

/// Encodes a big-endian number in base 62, with leading zeros up to `width` characters.
fn base62(number: &[u8], width: usize) -> String {
    let mut digits = number.to_vec();
    let mut text = vec![b'0'; width];
    for place in text.iter_mut().rev() {
        let mut remainder = 0_u32;
        for digit in &mut digits {
            let value = (remainder << 8) | u32::from(*digit);
            *digit = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        *place = digit(remainder);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The SHA-256 digest of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Compares two digests in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Serialize for TokenDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for TokenDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or_else(|| serde::de::Error::custom("not a SHA-256 digest"))
    }
}

/// The owner of a token: whom its requests come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenOwner {
    /// The connection with this name.
    Connection(String),
    /// The application with this name.
    Application(String),
}

impl TokenOwner {
    /// The kind of the owner, as in options and labels: `connection` or `application`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connection(_) => "connection",
            Self::Application(_) => "application",
        }
    }

    /// The name of the owner.
    pub fn name(&self) -> &str {
        match self {
            Self::Connection(name) | Self::Application(name) => name,
        }
    }

    /// The name if the owner is a connection, and the name if it is an application.
    pub fn names(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Connection(name) => (Some(name), None),
            Self::Application(name) => (None, Some(name)),
        }
    }
}

impl fmt::Display for TokenOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// A denied request with a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDenial {
    /// When it was denied.
    pub time: Timestamp,
    /// The code of the reason, as the audit log has it.
    pub reason: String,
}

/// A stored token, without its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    /// The id by which operators refer to the token.
    pub id: String,
    /// The connection or application that the token authenticates.
    #[serde(flatten)]
    pub owner: TokenOwner,
    /// The time of creation.
    pub created: Timestamp,
    /// The time of expiry; `None` if the token never expires.
    pub expires: Option<Timestamp>,
    /// The time of last use, accurate to about a minute.
    pub last_used: Option<Timestamp>,
    /// The last denied request with it, accurate to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_denied: Option<TokenDenial>,
    /// The digest of its secret.
    pub digest: TokenDigest,
    /// What the operator says that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Token {
    /// Whether the token has expired at `moment`.
    pub fn is_expired(&self, moment: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= moment)
    }
}

impl fmt::Debug for Token {
    /// Writes the id only: a digest does not belong in a log either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form_and_reads_back() {
        for text in ["", "scim_x", "scim_y"] {
            let crc = crc32fast::hash(text.as_bytes()).to_be_bytes();
            assert_eq!(checksum(text), base62(&crc, CHECK_CHARS));
        }
        let token = TokenSecret::from_random([0xff; 32]);
        let text = token.expose();
        assert_eq!(text.len(), 55);
        assert!(text.starts_with("scimd_") && text[6..].bytes().all(|b| b.is_ascii_alphanumeric()));
        let read = TokenSecret::parse(text).unwrap();
        assert!(read.digest().matches(&token.digest()));
        assert_eq!(
            &TokenSecret::from_random([0; 32]).expose()[..49],
            format!("scimd_{}", "0".repeat(43))
        );
    }

    #[test]
    fn no_typing_error_reads_as_a_token() {
        let token = TokenSecret::from_random(*b"0123456789abcdef0123456789abcdef");
        for place in 0..token.expose().len() {
            for &wrong in BASE62.iter().chain(b"_ -") {
                let mut text = token.expose().as_bytes().to_vec();
                if text[place] != wrong {
                    text[place] = wrong;
                    let text = String::from_utf8(text).unwrap();
                    assert!(TokenSecret::parse(&text).is_none(), "{place}");
                }
            }
        }
        for text in ["", "scimd_", "Bearer x", &format!("{} ", token.expose()), &"é".repeat(28)] {
            assert!(TokenSecret::parse(text).is_none());
        }
    }

    #[test]
    fn a_token_names_its_owner_and_tokens_of_earlier_versions_are_of_connections() {
        let digest = serde_json::to_string(&TokenSecret::from_random([7; 32]).digest()).unwrap();
        let rest = format!(
            r#""created":"2026-03-01T08:15:00Z","expires":null,"last_used":null,"digest":{digest}"#
        );
        for (owner, is) in [
            (r#""connection":"okta""#, TokenOwner::Connection("okta".to_owned())),
            (r#""application":"crm""#, TokenOwner::Application("crm".to_owned())),
        ] {
            let stored = format!(r#"{{"id":"a1",{owner},{rest}}}"#);
            let token: Token = serde_json::from_str(&stored).unwrap();
            assert_eq!(token.owner, is);
            assert_eq!(serde_json::to_string(&token).unwrap(), stored);
        }
        assert!(serde_json::from_str::<Token>(&format!(r#"{{"id":"a1",{rest}}}"#)).is_err());
    }

    #[test]
    fn digests_survive_their_written_form() {
        let digest = TokenSecret::from_random([7; 32]).digest();
        let written = serde_json::to_string(&digest).unwrap();
        assert!(serde_json::from_str::<TokenDigest>(&written).unwrap().matches(&digest));
        assert!(serde_json::from_str::<TokenDigest>("\"00\"").is_err());
        assert!(serde_json::from_str::<TokenDigest>("\"\u{e9}\"").is_err());
    }
}
