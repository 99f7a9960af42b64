//! ID tokens of an OpenID provider: what they must say, and whom they prove (OpenID Connect Core 1.0, section 3.1.3.7).

use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use crate::connection::assertion::{Assertion, AssertionAlgorithm, KeySet};
use crate::text::{excerpt, is_unseen};

/// The algorithms that may sign an ID token; which one follows from the key.
const ALGORITHMS: [AssertionAlgorithm; 3] =
    [AssertionAlgorithm::Rs256, AssertionAlgorithm::Ps256, AssertionAlgorithm::Es256];
/// The difference between two clocks that is overlooked, in seconds.
const SKEW: i64 = 60;
/// The age of a token that has just been issued, at most, in seconds.
const MAX_AGE: i64 = 600;
/// The size of a subject, in bytes.
const MAX_SUBJECT: usize = 255;

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedIdToken<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The client identifier.
    pub client_id: &'a str,
    /// The nonce of the sign-in that it answers.
    pub nonce: &'a str,
    /// How long ago the user may have signed in at the provider, in seconds, if that was asked for.
    pub max_age: Option<i64>,
}

/// Whom an ID token proves. Issuer and subject are the identity; the name is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenUser {
    /// The subject.
    pub subject: String,
    /// The name that the provider has for the user, if it sends one.
    pub name: Option<String>,
    /// The values of the claim that gives roles.
    pub groups: Vec<String>,
}

/// An ID token that could be read, and is still to be checked.
#[derive(Debug)]
pub struct IdToken {
    assertion: Assertion,
    claims: IdClaims,
}

#[derive(Debug, Deserialize)]
struct IdClaims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl IdToken {
    /// Reads an ID token, and checks nothing.
    ///
    /// # Errors
    ///
    /// Why it can't be read.
    pub fn read(text: &str) -> Result<Self, String> {
        let assertion = Assertion::read(text).map_err(|error| error.to_string())?;
        let claims = jsonwebtoken::dangerous::insecure_decode_claims(text)
            .map_err(|_| "the claims of the ID token are no JSON object".to_owned())?;
        Ok(Self { assertion, claims })
    }

    /// Whether a set has the key that the token names.
    pub fn has_key_in(&self, keys: &KeySet) -> bool {
        keys.has_key_of(&self.assertion)
    }

    /// Checks all of it at `now`, in seconds since 1970; `role_claim` names the claim that gives roles.
    ///
    /// # Errors
    ///
    /// What was expected and what came, for the log.
    pub fn check(
        &self,
        keys: &KeySet,
        expected: &ExpectedIdToken<'_>,
        role_claim: &str,
        now: i64,
    ) -> Result<ProvenUser, String> {
        self.assertion.check_signature(keys, &ALGORITHMS).map_err(|error| error.to_string())?;
        let issuer = self.text("iss");
        if issuer != Some(expected.issuer) {
            return Err(self.wrong("iss", &format!("{:?}", expected.issuer)));
        }
        let audiences = self.texts("aud");
        if !audiences.contains(&expected.client_id) {
            return Err(self.wrong("aud", &format!("one with {:?}", expected.client_id)));
        }
        let azp = self.claims.all.get("azp");
        if azp.is_some() || audiences.len() > 1 {
            // A token for several audiences says for which of them it was made.
            if self.text("azp") != Some(expected.client_id) {
                return Err(self.wrong("azp", &format!("{:?}", expected.client_id)));
            }
        }
        self.check_times(expected.max_age, now)?;
        let nonce = self.text("nonce").unwrap_or_default();
        let is_same: bool = nonce.as_bytes().ct_eq(expected.nonce.as_bytes()).into();
        if !is_same || nonce.is_empty() {
            return Err("nonce: expected that of the sign-in, and another came".to_owned());
        }
        let subject = self.text("sub").unwrap_or_default();
        let is_plain = subject.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if subject.trim().is_empty() || subject.len() > MAX_SUBJECT || !is_plain {
            return Err(self.wrong("sub", "1 to 255 printable ASCII characters"));
        }
        let name = ["preferred_username", "email", "name"].into_iter();
        let mut name = name.filter_map(|claim| self.text(claim)).filter(|name| is_shown(name));
        Ok(ProvenUser {
            subject: subject.to_owned(),
            name: name.next().map(ToOwned::to_owned),
            groups: self.texts(role_claim).into_iter().map(ToOwned::to_owned).collect(),
        })
    }

    fn check_times(&self, max_age: Option<i64>, now: i64) -> Result<(), String> {
        let seconds = |claim: &str| {
            let value = self.claims.all.get(claim)?;
            value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX))
        };
        if seconds("exp").is_none_or(|end| end.saturating_add(SKEW) <= now) {
            return Err(self.wrong("exp", &format!("a time after {}", now - SKEW)));
        }
        let is_fresh =
            |begin: i64| begin <= now + SKEW && begin.saturating_add(MAX_AGE + SKEW) > now;
        if !seconds("iat").is_some_and(is_fresh) {
            return Err(self.wrong("iat", &format!("a time within {MAX_AGE} seconds of {now}")));
        }
        if self.claims.all.contains_key("nbf")
            && seconds("nbf").is_none_or(|begin| begin > now + SKEW)
        {
            return Err(self.wrong("nbf", &format!("a time before {}", now + SKEW)));
        }
        if let Some(max_age) = max_age {
            let is_recent = |at: i64| at <= now + SKEW && at.saturating_add(max_age + SKEW) > now;
            if !seconds("auth_time").is_some_and(is_recent) {
                let expected = format!("a time within {max_age} seconds of {now}");
                return Err(self.wrong("auth_time", &expected));
            }
        }
        Ok(())
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims.all.get(claim)?.as_str()
    }

    /// The texts of a claim: one text, or a list of them.
    fn texts(&self, claim: &str) -> Vec<&str> {
        match self.claims.all.get(claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn wrong(&self, claim: &str, expected: &str) -> String {
        let came = self.claims.all.get(claim).map(ToString::to_string);
        let came = came.unwrap_or_else(|| "none".to_owned());
        format!("{claim}: expected {expected}, and {} came", excerpt(&came, 200))
    }
}

/// Whether a name can be shown: short, and without characters that hide or reorder others.
fn is_shown(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.chars().any(|letter| letter.is_control() || is_unseen(letter))
}

#[cfg(test)]
mod tests;
