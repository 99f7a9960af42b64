//! A sign-in at the provider while it is under way: in a cookie that only this process can make, for ten minutes, once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::Stopwatch;
use crate::console::session::{SecretDigest, is_same, new_token};

/// The cookie. It comes along when the provider sends the browser back, as a Strict one would not.
pub(in crate::console) const OIDC_COOKIE: &str = "__Host-scimd-oidc";
/// How long a sign-in may take.
pub(in crate::console) const LASTS: Duration = Duration::from_secs(600);
/// How many sign-ins that have come back are remembered.
const MAX_USED: usize = 1_024;
/// The size of the page to go on at, in bytes; a longer one is forgotten.
const MAX_NEXT: usize = 1_024;

/// The sign-ins that are under way.
pub(in crate::console) struct OidcFlows {
    key: Option<hmac::Key>,
    since: Stopwatch,
    used: Mutex<VecDeque<String>>,
}

/// A sign-in that is under way.
#[derive(Serialize, Deserialize)]
pub(in crate::console) struct Flow {
    /// Ties the answer to this browser.
    pub(in crate::console) state: String,
    /// Ties the ID token to this sign-in.
    pub(in crate::console) nonce: String,
    /// Proves to the provider that the code is redeemed by the client that asked for it (RFC 7636).
    pub(in crate::console) verifier: String,
    /// The page to go on at.
    pub(in crate::console) next: String,
    /// The session of the operator who signs in again.
    pub(in crate::console) again: Option<SecretDigest>,
    /// When it began, in seconds since the start.
    begun: u64,
}

impl Default for OidcFlows {
    fn default() -> Self {
        let mut random = [0; 32];
        let key = SysRng.try_fill_bytes(&mut random).is_ok();
        Self {
            key: key.then(|| hmac::Key::new(hmac::HMAC_SHA256, &random)),
            since: Stopwatch::start(),
            used: Mutex::default(),
        }
    }
}

impl OidcFlows {
    /// Begins a sign-in.
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub(in crate::console) fn begin(
        &self,
        next: &str,
        again: Option<SecretDigest>,
    ) -> Result<Flow, String> {
        let random = || new_token().map(|token| token.expose().to_owned());
        let next = if next.len() > MAX_NEXT { "/" } else { next };
        Ok(Flow {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            next: next.to_owned(),
            again,
            begun: self.since.elapsed().as_secs(),
        })
    }

    /// The value of the cookie.
    ///
    /// # Errors
    ///
    /// There were no random numbers for the key.
    pub(in crate::console) fn cookie(&self, flow: &Flow) -> Result<String, String> {
        let key = self.key.as_ref().ok_or("no random numbers at the start")?;
        let body = serde_json::to_vec(flow).map_err(|error| error.to_string())?;
        let tag = hmac::sign(key, &body);
        Ok(format!("{}.{}", BASE64URL_NOPAD.encode(&body), BASE64URL_NOPAD.encode(tag.as_ref())))
    }

    /// The sign-in that a browser comes back from, whose state the provider has returned; it is used up.
    pub(in crate::console) fn finish(&self, cookie: &str, state: &str) -> Option<Flow> {
        self.finish_at(cookie, state, self.since.elapsed())
    }

    fn finish_at(&self, cookie: &str, state: &str, now: Duration) -> Option<Flow> {
        let (body, tag) = cookie.split_once('.')?;
        let body = BASE64URL_NOPAD.decode(body.as_bytes()).ok()?;
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
        hmac::verify(self.key.as_ref()?, &body, &tag).ok()?;
        let flow: Flow = serde_json::from_slice(&body).ok()?;
        let is_late = now.as_secs().saturating_sub(flow.begun) > LASTS.as_secs();
        if is_late || !is_same(state, &flow.state) {
            return None;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.contains(&flow.state) {
            return None;
        }
        if used.len() == MAX_USED {
            used.pop_front();
        }
        used.push_back(flow.state.clone());
        Some(flow)
    }
}

impl Flow {
    /// What the provider is sent of the verifier (S256).
    pub(in crate::console) fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(&self.verifier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_comes_back_once_within_ten_minutes_to_the_same_browser() {
        let flows = OidcFlows::default();
        let flow = flows.begin("/requests", Some([7; 32])).unwrap();
        let cookie = flows.cookie(&flow).unwrap();
        for (cookie, state, seconds) in [
            (cookie.as_str(), "other", 0),
            (cookie.as_str(), "", 0),
            ("", flow.state.as_str(), 0),
            (&cookie[..cookie.len() - 2], flow.state.as_str(), 0),
            (&cookie[2..], flow.state.as_str(), 0),
            (cookie.as_str(), flow.state.as_str(), 602),
        ] {
            let now = Duration::from_secs(seconds);
            assert!(flows.finish_at(cookie, state, now).is_none(), "{cookie} {state} {seconds}");
        }
        let back = flows.finish_at(&cookie, &flow.state, LASTS).unwrap();
        assert_eq!((back.next.as_str(), back.again), ("/requests", Some([7; 32])));
        assert_eq!((back.nonce, back.verifier), (flow.nonce, flow.verifier));
        assert!(flows.finish(&cookie, &flow.state).is_none(), "a second time");
        let other = OidcFlows::default();
        assert!(other.finish(&cookie, &flow.state).is_none(), "after a restart");
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_pages_to_go_on_at_are_short() {
        let flows = OidcFlows::default();
        for _ in 0..MAX_USED + 10 {
            let flow = flows.begin("/", None).unwrap();
            assert!(flows.finish(&flows.cookie(&flow).unwrap(), &flow.state).is_some());
        }
        assert_eq!(flows.used.lock().unwrap().len(), MAX_USED);
        let fits = format!("/?{}", "a".repeat(MAX_NEXT - 2));
        assert_eq!(flows.begin(&fits, None).unwrap().next, fits);
        assert_eq!(flows.begin(&format!("{fits}a"), None).unwrap().next, "/");
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let mut flow = OidcFlows::default().begin("/", None).unwrap();
        flow.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
