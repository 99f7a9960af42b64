//! What becomes of those whom the gate does not let in: an answer, a count, now and then a line.
//!
//! Whatever the reason, whoever is refused often is answered 429 instead of 401: which of the two it is
//! tells nothing of the token that was sent.

use std::net::IpAddr;
use std::time::Duration;

use hyper::StatusCode;

use super::burst::{Bursts, More};
use super::error::Failure;
use super::gate::DenyReason;
use super::throttle::Throttle;
use crate::clock::Stopwatch;
use crate::directory;
use crate::event::Reason;
use crate::metrics::Counter;

/// How often the log is told of bursts.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Somebody who was not let in.
#[derive(Debug)]
pub(super) struct Refused {
    /// The address that counts: the socket's, or the one that a trusted proxy names.
    pub(super) address: IpAddr,
    pub(super) refusal: DenyReason,
}

impl Refused {
    /// What the audit trail is to tell of it.
    pub(super) fn told(&self) -> directory::Refusal {
        let (connection, token) = self.refusal.speaker().unzip();
        directory::Refusal {
            reason: self.refusal.reason(),
            connection: connection.map(ToOwned::to_owned),
            token: token.map(ToOwned::to_owned),
            address: self.address,
        }
    }
}

/// All who were not let in.
pub(super) struct Refusals {
    started: Stopwatch,
    throttle: Throttle,
    bursts: Bursts,
    by_reason: [Counter; Reason::CATALOGUE.len()],
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

    /// How often each reason of the gate was the one.
    pub(super) fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> {
        let reasons = Reason::CATALOGUE.into_iter().map(|(reason, _)| reason);
        let counted = reasons.zip(self.by_reason.iter().map(Counter::value));
        counted.filter(|(reason, _)| *reason != Reason::Scope)
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
    fn every_reason_has_a_place_of_its_own() {
        let refusals = Refusals::new(0);
        let address = IpAddr::from([192, 0, 2, 1]);
        for refusal in [DenyReason::ForwardedFor, DenyReason::NoToken, DenyReason::Malformed] {
            refusals.refuse(&Refused { address, refusal }, "1");
        }
        let counted: Vec<Reason> = refusals
            .by_reason()
            .filter(|(_, count)| *count == 1)
            .map(|(reason, _)| reason)
            .collect();
        assert_eq!(counted, [Reason::ForwardedFor, Reason::NoToken, Reason::MalformedToken]);
        for (place, (reason, _)) in Reason::CATALOGUE.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
