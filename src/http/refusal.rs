//! What becomes of those whom the gate does not let in: an answer, a count, now and then a line.
//!
//! Whatever the reason, whoever is refused often is answered 429 instead of 401: which of the two it is
//! tells nothing of the token that was sent.

use std::net::IpAddr;
use std::time::Duration;

use hyper::StatusCode;

use super::burst::{Bursts, More};
use super::error::Failure;
use super::gate::Refusal;
use super::throttle::Throttle;
use crate::clock::Stopwatch;
use crate::metrics::Counter;

/// How often the log is told of bursts.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The name of a reason, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    ForwardedFor,
    Address,
    NoToken,
    SeveralTokens,
    MalformedToken,
    UnknownToken,
    ExpiredToken,
    UnknownConnection,
    OriginCount,
    Origin,
}

impl Reason {
    /// Each, in the order of the gate's checks.
    pub(super) const ALL: [Self; 10] = [
        Self::ForwardedFor,
        Self::Address,
        Self::NoToken,
        Self::SeveralTokens,
        Self::MalformedToken,
        Self::UnknownToken,
        Self::ExpiredToken,
        Self::UnknownConnection,
        Self::OriginCount,
        Self::Origin,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ForwardedFor => "forwarded_for",
            Self::Address => "address",
            Self::NoToken => "no_token",
            Self::SeveralTokens => "several_tokens",
            Self::MalformedToken => "malformed_token",
            Self::UnknownToken => "unknown_token",
            Self::ExpiredToken => "expired_token",
            Self::UnknownConnection => "unknown_connection",
            Self::OriginCount => "origin_count",
            Self::Origin => "origin",
        }
    }
}

/// Somebody who was not let in.
#[derive(Debug)]
pub(super) struct Refused {
    /// The address that counts: the socket's, or the one that a trusted proxy names.
    pub(super) address: IpAddr,
    pub(super) refusal: Refusal,
}

/// All who were not let in.
pub(super) struct Refusals {
    started: Stopwatch,
    throttle: Throttle,
    bursts: Bursts,
    by_reason: [Counter; Reason::ALL.len()],
    throttled: Counter,
}

impl Refusals {
    /// At most so many answers of 401 in a minute for each network; 0 for no limit.
    pub(super) fn new(max_per_minute: u32) -> Self {
        Self {
            started: Stopwatch::start(),
            throttle: Throttle::new(max_per_minute),
            bursts: Bursts::default(),
            by_reason: Default::default(),
            throttled: Counter::default(),
        }
    }

    /// Has another limit hold from here on.
    pub(super) fn limit(&self, max_per_minute: u32) {
        self.throttle.limit(max_per_minute);
    }

    /// Counts a refusal and tells the log if it begins a burst; what the client is answered.
    pub(super) fn refuse(&self, refused: &Refused, request: &str) -> Failure {
        let Refused { address, refusal } = refused;
        let (network, now) = ((*address).into(), self.started.elapsed());
        let reason = refusal.reason();
        if let Some(count) = self.by_reason.get(reason as usize) {
            count.add_one();
        }
        let (status, failure) = match self.throttle.note(network, now) {
            None => (StatusCode::UNAUTHORIZED, Failure::Unauthenticated),
            Some(wait) => {
                self.throttled.add_one();
                (StatusCode::TOO_MANY_REQUESTS, Failure::TooManyRefusals(wait))
            }
        };
        if self.bursts.note((network, reason.as_str()), now) {
            let (status, reason) = (status.as_u16(), refusal.to_string());
            tracing::warn!(request, %address, status, reason, "refused");
        }
        failure
    }

    /// Tells the log of bursts, until dropped.
    pub(super) async fn keep_telling(&self) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            tell(self.bursts.due(self.started.elapsed()));
        }
    }

    /// Tells the log what is left to be told.
    pub(super) fn tell_rest(&self) {
        tell(self.bursts.rest(self.started.elapsed()));
    }

    /// How often each reason was the one.
    pub(super) fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.by_reason.iter().map(Counter::value))
    }

    /// How many were told to wait.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.value()
    }
}

fn tell(bursts: Vec<More>) {
    for More { kind, count, within } in bursts {
        let seconds = within.as_secs();
        match kind {
            Some((network, reason)) => {
                tracing::warn!(address = %network, count, seconds, reason, "refused again");
            }
            None => tracing::warn!(count, seconds, "refused from too many addresses to tell apart"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        let refusals = Refusals::new(0);
        let address = IpAddr::from([192, 0, 2, 1]);
        for refusal in [Refusal::ForwardedFor, Refusal::NoToken, Refusal::Origin(String::new())] {
            refusals.refuse(&Refused { address, refusal }, "1");
        }
        let counts: Vec<u64> = refusals.by_reason().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            let named = |other: &&Reason| other.as_str() == reason.as_str();
            assert_eq!(Reason::ALL.iter().filter(named).count(), 1);
        }
    }
}
