//! Access tokens: derived from a key, so that nothing is stored of them.
//!
//! A token is HMAC-SHA-256 of its client's id, the generation of the client, and the 5-minute period in
//! which it was issued. Repeated requests in one period get the same token, and every node that has the
//! key knows every token.

use std::ops::RangeInclusive;
use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::token::{SECRET_BYTES, TokenSecret};

/// The length of a period, in seconds.
const PERIOD: i64 = 300;
/// Separates these tokens from anything else that the key might be used for.
const PURPOSE: &[u8] = b"scimd access token 1\0";

/// The key from which access tokens are derived.
pub struct AccessTokenKey(hmac::Key);

impl AccessTokenKey {
    /// A key of 256 random bits.
    pub fn new(random: &[u8; SECRET_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, random))
    }

    /// The token of a client for a period.
    fn token(&self, client: &str, generation: u64, period: i64) -> TokenSecret {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(PURPOSE);
        context.update(&(client.len() as u64).to_be_bytes());
        context.update(client.as_bytes());
        context.update(&generation.to_be_bytes());
        context.update(&period.to_be_bytes());
        let mut bytes = [0; SECRET_BYTES];
        for (byte, tag) in bytes.iter_mut().zip(context.sign().as_ref()) {
            *byte = *tag;
        }
        TokenSecret::from_random(bytes)
    }
}

/// Derives access tokens, and knows how long each is valid.
pub struct AccessTokenIssuer {
    key: AccessTokenKey,
    /// In seconds; 1 to 6 hours.
    lifetime: i64,
}

impl AccessTokenIssuer {
    /// An issuer of tokens that are valid for `lifetime` at least, and for one period longer at most.
    pub fn new(key: AccessTokenKey, lifetime: Duration) -> Self {
        Self { key, lifetime: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2) }
    }

    /// The same key with another lifetime.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self::new(self.key, lifetime)
    }

    /// How long a token is valid from the request on, in seconds.
    pub fn lifetime(&self) -> i64 {
        self.lifetime
    }

    /// The periods whose tokens are valid at `now`; the last is the present one.
    pub fn live_periods(&self, now: Timestamp) -> RangeInclusive<i64> {
        let now = now.as_second();
        now.saturating_sub(self.lifetime).div_euclid(PERIOD)..=now.div_euclid(PERIOD)
    }

    /// The token of a client for a period.
    pub fn token(&self, client: &str, generation: u64, period: i64) -> TokenSecret {
        self.key.token(client, generation, period)
    }

    /// When a period begins.
    pub fn start(&self, period: i64) -> Timestamp {
        moment(period.saturating_mul(PERIOD))
    }

    /// When the tokens of a period end.
    pub fn end(&self, period: i64) -> Timestamp {
        let end = period.saturating_add(1).saturating_mul(PERIOD);
        moment(end.saturating_add(self.lifetime))
    }
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(lifetime: u64) -> AccessTokenIssuer {
        AccessTokenIssuer::new(AccessTokenKey::new(&[7; 32]), Duration::from_secs(lifetime))
    }

    #[test]
    fn a_token_depends_on_key_client_generation_and_period() {
        let one = issuer(3_600);
        let token = |issuer: &AccessTokenIssuer, client, generation, period| {
            issuer.token(client, generation, period).expose().to_owned()
        };
        let first = token(&one, "client-a", 0, 5);
        assert_eq!(first, token(&one, "client-a", 0, 5));
        assert!(TokenSecret::parse(&first).is_some());
        let other = AccessTokenIssuer::new(AccessTokenKey::new(&[8; 32]), Duration::from_secs(1));
        for another in [
            token(&one, "client-b", 0, 5),
            token(&one, "client-a", 1, 5),
            token(&one, "client-a", 0, 6),
            token(&other, "client-a", 0, 5),
        ] {
            assert_ne!(first, another);
        }
    }

    #[test]
    fn a_token_is_live_from_its_period_on_for_its_lifetime_and_no_longer_than_a_period_more() {
        let issuer = issuer(7_200);
        for second in [1_700_000_000, 1_700_000_099, 1_700_000_100, 1_700_000_399] {
            let now = Timestamp::from_second(second).unwrap();
            let live = issuer.live_periods(now);
            assert!(issuer.start(*live.end()) <= now && issuer.start(live.end() + 1) > now);
            assert!(issuer.end(*live.start()) > now, "the oldest is valid");
            assert!(issuer.end(live.start() - 1) <= now, "the one before is not");
            assert!(issuer.end(*live.end()).as_second() - second >= 7_200);
            assert!(issuer.end(*live.end()).as_second() - second <= 7_500);
            assert!(live.count() <= 7_200 / 300 + 2);
        }
    }
}
