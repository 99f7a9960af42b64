//! Assertions: signed JSON Web Tokens by which a client proves itself (RFC 7523).
//!
//! The claims are checked first, and all of them, so that a refusal says what was expected and what came; the
//! signature is checked last, with a key of the issuer or of the client. Which algorithm is right follows from the
//! key and from the configuration, never from the assertion alone.

mod client_key;

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use client_key::{BadClientKey, MAX_CLIENT_KEYS};

use crate::text::excerpt;
use crate::text::keyword::keyword;

/// The size of an assertion, in bytes.
pub const MAX_ASSERTION: usize = 16 * 1024;
/// The difference between two clocks that is overlooked, in seconds.
pub const SKEW: i64 = 300;
/// How long an assertion by a client's own key may be valid, in seconds.
pub const MAX_CLIENT_LIFE: i64 = 600;
/// The size of an RSA modulus, in base64url digits: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 342..=1_366;
/// How many keys of a set are looked at.
const MAX_KEYS: usize = 64;

/// An algorithm that signs assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssertionAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl AssertionAlgorithm {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// The name in assertions and in the configuration (RFC 7518, RFC 8037).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn algorithm(self) -> (Algorithm, KeyAlgorithm) {
        match self {
            Self::Rs256 => (Algorithm::RS256, KeyAlgorithm::RS256),
            Self::Ps256 => (Algorithm::PS256, KeyAlgorithm::PS256),
            Self::Es256 => (Algorithm::ES256, KeyAlgorithm::ES256),
            Self::Es384 => (Algorithm::ES384, KeyAlgorithm::ES384),
            Self::EdDsa => (Algorithm::EdDSA, KeyAlgorithm::EdDSA),
        }
    }

    /// Whether a key is of the type that this algorithm needs.
    fn fits(self, key: &Jwk) -> bool {
        let fits_type = match (self, &key.algorithm) {
            (Self::Rs256 | Self::Ps256, AlgorithmParameters::RSA(rsa)) => {
                MODULUS.contains(&rsa.n.len())
            }
            (Self::Es256, AlgorithmParameters::EllipticCurve(ec)) => {
                ec.curve == EllipticCurve::P256
            }
            (Self::Es384, AlgorithmParameters::EllipticCurve(ec)) => {
                ec.curve == EllipticCurve::P384
            }
            (Self::EdDsa, AlgorithmParameters::OctetKeyPair(okp)) => {
                okp.curve == EllipticCurve::Ed25519
            }
            _ => false,
        };
        let own = key.common.key_algorithm;
        let used = key.common.public_key_use.as_ref();
        fits_type
            && own.is_none_or(|own| own == self.algorithm().1)
            && used.is_none_or(|used| *used == PublicKeyUse::Signature)
    }
}

keyword!(AssertionAlgorithm, "algorithm");

/// The public keys of an issuer or of a client (RFC 7517).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeySet(Vec<Jwk>);

impl KeySet {
    /// Reads a set. A key that can't be read is left out.
    ///
    /// # Errors
    ///
    /// The text is no set, or has no key that can verify an assertion.
    pub fn parse(text: &[u8]) -> Result<Self, BadKeySet> {
        #[derive(Deserialize)]
        struct Written {
            keys: Vec<Value>,
        }
        let Written { keys } = serde_json::from_slice(text).map_err(|_| BadKeySet)?;
        let read =
            keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value(key).ok());
        let usable = |key: &Jwk| AssertionAlgorithm::ALL.iter().any(|one| one.fits(key));
        let keys: Vec<Jwk> = read.filter(usable).collect();
        if keys.is_empty() { Err(BadKeySet) } else { Ok(Self(keys)) }
    }

    /// Whether the set has the key of an assertion.
    pub fn has_key_of(&self, assertion: &Assertion) -> bool {
        self.of(assertion).next().is_some()
    }

    /// The keys that an assertion names; all of them if it names none, or if no key has an id.
    fn of<'a>(&'a self, assertion: &'a Assertion) -> impl Iterator<Item = &'a Jwk> {
        let have_ids = self.0.iter().any(|key| key.common.key_id.is_some());
        let named = assertion.key_id.as_deref().filter(|_| have_ids);
        self.0
            .iter()
            .filter(move |key| named.is_none_or(|id| key.common.key_id.as_deref() == Some(id)))
    }
}

/// A text that is no usable set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no JSON Web Key Set with a key that signs assertions")]
pub struct BadKeySet;

/// An assertion that could be read, and whose claims and signature are still to be checked.
#[derive(Debug)]
pub struct Assertion {
    text: String,
    key_id: Option<String>,
    claims: Claims,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    jti: Option<Value>,
}

/// How an assertion stands for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionKind {
    /// An issuer speaks for the client; the assertion may be sent again.
    Federated,
    /// The client speaks for itself, to this server alone and once: it needs a `jti`, and its audience stands alone.
    OwnKey,
}

/// What the claims of an assertion must be.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedClaims<'a> {
    /// How it stands for the client.
    pub kind: AssertionKind,
    /// The issuer.
    pub issuer: &'a str,
    /// The subject.
    pub subject: &'a str,
    /// The audiences of which one must be among those of the assertion.
    pub audiences: &'a [String],
    /// How long an assertion may be valid, in seconds.
    pub max_life: i64,
}

/// Why an assertion proves nothing; for log and audit trail, never for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAssertion {
    /// It is no assertion that can be read; the text says why.
    Unreadable(&'static str),
    /// Claims are not as expected: for each a text that says what was expected and what came.
    Claims(Vec<String>),
    /// It was not signed by a known key, or not by a permitted algorithm.
    Signature(String),
}

impl fmt::Display for BadAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the assertion can't be read: {why}"),
            Self::Claims(claims) => write!(f, "{}", claims.join("; ")),
            Self::Signature(why) => f.write_str(why),
        }
    }
}

impl Assertion {
    /// Reads an assertion, and checks nothing.
    ///
    /// # Errors
    ///
    /// `Unreadable`.
    pub fn read(text: &str) -> Result<Self, BadAssertion> {
        if text.len() > MAX_ASSERTION {
            return Err(BadAssertion::Unreadable("it is longer than 16 KiB"));
        }
        let header = decode_header(text)
            .map_err(|_| BadAssertion::Unreadable("its header is none, or its alg is not known"))?;
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(BadAssertion::Unreadable("its header asks for what is not supported"));
        }
        let claims = jsonwebtoken::dangerous::insecure_decode_claims(text);
        let claims =
            claims.map_err(|_| BadAssertion::Unreadable("its claims are no JSON object"))?;
        Ok(Self { text: text.to_owned(), key_id: header.kid, claims })
    }

    /// The subject.
    pub fn subject(&self) -> Option<&str> {
        text(self.claims.sub.as_ref())
    }

    /// The id; `None` if it has none that is a text with something in it.
    pub fn id(&self) -> Option<&str> {
        text(self.claims.jti.as_ref()).filter(|id| !id.is_empty())
    }

    /// From when on it is no longer taken, in seconds since 1970.
    pub fn end(&self) -> i64 {
        let end = self.claims.exp.as_ref().and_then(seconds);
        end.unwrap_or_default().saturating_add(SKEW)
    }

    /// Whether issuer and subject are these.
    pub fn is_from(&self, issuer: &str, subject: &str) -> bool {
        text(self.claims.iss.as_ref()) == Some(issuer)
            && text(self.claims.sub.as_ref()) == Some(subject)
    }

    /// Issuer and subject as they came, for the log.
    pub fn shown_origin(&self) -> String {
        format!("iss {}, sub {}", shown(self.claims.iss.as_ref()), shown(self.claims.sub.as_ref()))
    }

    /// Checks all claims at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// `Claims`.
    pub fn check_claims(
        &self,
        expected: &ExpectedClaims<'_>,
        now: i64,
    ) -> Result<(), BadAssertion> {
        let Claims { iss, sub, aud, exp, nbf, iat, .. } = &self.claims;
        let mut wrong = Vec::new();
        for (name, came, expected) in
            [("iss", iss, expected.issuer), ("sub", sub, expected.subject)]
        {
            if text(came.as_ref()) != Some(expected) {
                let came = shown(came.as_ref());
                wrong.push(format!("{name}: expected {expected:?}, and {came} came"));
            }
        }
        let is_once = expected.kind == AssertionKind::OwnKey;
        let sent = audiences(aud.as_ref());
        let is_known = |one: &&str| expected.audiences.iter().any(|known| known == one);
        if !sent.iter().any(is_known) || (is_once && sent.len() > 1) {
            let (came, alone) = (shown(aud.as_ref()), if is_once { " alone" } else { "" });
            let known = expected.audiences;
            wrong.push(format!("aud: expected one of {known:?}{alone}, and {came} came"));
        }
        let seconds = |claim: &Option<Value>| claim.as_ref().and_then(seconds);
        match seconds(exp) {
            Some(end) if end.saturating_add(SKEW) > now => {
                let begin = seconds(iat).or_else(|| seconds(nbf)).unwrap_or(now);
                let life = end.saturating_sub(begin);
                let most = expected.max_life;
                // A begin in the future is refused below.
                if life > most {
                    wrong.push(format!(
                        "exp: expected at most {most} seconds of life, and {life} came"
                    ));
                }
            }
            _ => {
                let came = shown(exp.as_ref());
                wrong.push(format!("exp: expected a time after {}, and {came} came", now - SKEW));
            }
        }
        for (name, claim) in [("nbf", nbf), ("iat", iat)] {
            if claim.is_some() && seconds(claim).is_none_or(|begin| begin > now + SKEW) {
                let came = shown(claim.as_ref());
                wrong.push(format!(
                    "{name}: expected a time before {}, and {came} came",
                    now + SKEW
                ));
            }
        }
        if is_once && self.id().is_none() {
            let came = shown(self.claims.jti.as_ref());
            wrong.push(format!("jti: expected a text, and {came} came"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(BadAssertion::Claims(wrong)) }
    }

    /// Checks the signature by the keys of the issuer or client.
    ///
    /// # Errors
    ///
    /// `Signature`.
    pub fn check_signature(
        &self,
        keys: &KeySet,
        algorithms: &[AssertionAlgorithm],
    ) -> Result<(), BadAssertion> {
        let mut named = keys.of(self).peekable();
        if named.peek().is_none() {
            let id = excerpt(self.key_id.as_deref().unwrap_or_default(), 100);
            let why = format!("kid: expected the id of a known key, and \"{id}\" came");
            return Err(BadAssertion::Signature(why));
        }
        for key in named {
            for algorithm in algorithms.iter().filter(|algorithm| algorithm.fits(key)) {
                let Ok(decoding) = DecodingKey::from_jwk(key) else { continue };
                let mut validation = Validation::new(algorithm.algorithm().0);
                // Claims are checked above, by the time that scimd trusts.
                validation.required_spec_claims.clear();
                validation.validate_exp = false;
                validation.validate_aud = false;
                if decode::<Value>(&self.text, &decoding, &validation).is_ok() {
                    return Ok(());
                }
            }
        }
        let names: Vec<&str> = algorithms.iter().map(|one| one.as_str()).collect();
        Err(BadAssertion::Signature(format!(
            "signature: expected one by {} with the key that kid names, and it is not",
            names.join(" or ")
        )))
    }
}

fn text(claim: Option<&Value>) -> Option<&str> {
    claim.and_then(Value::as_str)
}

/// The audiences: one text, or a list of them.
fn audiences(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Seconds since 1970; fractions are left out.
#[expect(clippy::cast_possible_truncation, reason = "a number beyond the range becomes its end")]
fn seconds(claim: &Value) -> Option<i64> {
    claim.as_i64().or_else(|| claim.as_f64().map(|number| number.floor() as i64))
}

/// A claim as it came, for the log.
fn shown(claim: Option<&Value>) -> String {
    match claim {
        None => "none".to_owned(),
        Some(Value::String(text)) => format!("\"{}\"", excerpt(text, 200)),
        Some(other) => excerpt(&other.to_string(), 200).to_string(),
    }
}

#[cfg(test)]
mod tests;
