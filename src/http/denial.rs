//! Requests that the gate denies: why, and how they are answered, counted and logged.
//!
//! Clients that are denied too often receive 429 instead of 401, whatever the reason: the status says
//! nothing about the token that was sent.

use std::net::IpAddr;

use hyper::StatusCode;

use super::deny_limiter::DenyLimiter;
use super::error::Failure;
use crate::clock::{Clock, Stopwatch};
use crate::connection::token::TokenOwner;
use crate::directory::{self, InvalidClient, InvalidToken};
use crate::event::{Network, Reason};
use crate::logging::summary::{LogSummary, Suppressed};
use crate::metrics::Counter;
use crate::request_log::{Repetition, RequestEntry, RequestLog};
use crate::text::shorten;
use crate::transport::BadClientCertificate;

/// The bytes of the reason that the audit trail records, where a code does not say it all.
const MAX_DETAIL: usize = 1_000;

/// Denials that share one summary in the log: the client's network and the reason's code.
type Kind = (Network, &'static str);

/// A request that the gate denied.
#[derive(Debug)]
pub(super) struct Denial {
    /// The client's address: the socket's, or the one that a trusted proxy names.
    pub(super) address: IpAddr,
    pub(super) reason: DenyReason,
}

impl Denial {
    /// The denial as the audit trail records it.
    pub(super) fn for_audit(&self) -> directory::DeniedRequest {
        let (owner, token) = self.reason.known_token().unzip();
        let detail = match &self.reason {
            DenyReason::Assertion(why, _) => Some(shorten(why, MAX_DETAIL).into_owned()),
            DenyReason::Client(no_key @ InvalidClient::NoKey { .. }) => Some(no_key.to_string()),
            _ => None,
        };
        directory::DeniedRequest {
            detail,
            reason: self.reason.code(),
            owner: owner.cloned(),
            token: token.map(ToOwned::to_owned),
            address: self.address,
        }
    }
}

/// A token that exists: its owner and its id.
#[derive(Debug)]
pub(super) struct KnownToken {
    pub(super) owner: TokenOwner,
    pub(super) id: String,
}

/// Why a request was denied; for log, metrics and audit trail, never for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum DenyReason {
    #[error("X-Forwarded-For of the trusted proxy is not a list of addresses")]
    ForwardedFor,
    #[error("address {0} is on no ip_allowlist")]
    AddressOnNoAllowlist(IpAddr),
    #[error("no bearer token was sent")]
    NoToken,
    #[error("several Authorization headers were sent")]
    SeveralTokens,
    #[error("what was sent is not a scimd token, or is mistyped")]
    Malformed,
    #[error("{0}")]
    Token(#[from] InvalidToken),
    #[error("{0}")]
    NoClient(&'static str),
    #[error("{0}")]
    Client(#[from] InvalidClient),
    #[error("{0}")]
    Assertion(String, Option<KnownToken>),
    #[error("the token's {} is not in the configuration", .0.owner)]
    UnknownOwner(KnownToken),
    #[error("address {0} is not on the ip_allowlist of {owner}", owner = .1.owner)]
    Address(IpAddr, KnownToken),
    #[error("{} needs the header X-Request-Origin exactly once; it was sent {count} times", .0.owner, count = .1)]
    OriginCount(KnownToken, usize),
    #[error("X-Request-Origin is not the service_origin of {}", .0.owner)]
    Origin(KnownToken),
    #[error("{} does not take Basic (basic = true), or the user name is not its name", .0.owner)]
    Basic(KnownToken),
    #[error("the client certificate does not fit client_ca of {}: {problem}", .0.owner, problem = .1)]
    ClientCertificate(KnownToken, BadClientCertificate),
}

impl DenyReason {
    /// The code of the reason in metrics and audit trail.
    pub(super) fn code(&self) -> Reason {
        match self {
            Self::ForwardedFor => Reason::ForwardedFor,
            Self::AddressOnNoAllowlist(_) | Self::Address(..) => Reason::Address,
            Self::NoToken => Reason::NoToken,
            Self::SeveralTokens => Reason::SeveralTokens,
            Self::Malformed => Reason::MalformedToken,
            Self::Token(InvalidToken::Unknown | InvalidToken::Revoked { .. }) => {
                Reason::UnknownToken
            }
            Self::Token(InvalidToken::Expired { .. }) => Reason::ExpiredToken,
            Self::NoClient(_) => Reason::NoClient,
            Self::Assertion(..) => Reason::ClientAssertion,
            Self::Client(InvalidClient::Unknown) => Reason::UnknownClient,
            Self::Client(InvalidClient::Secret { .. }) => Reason::ClientSecret,
            Self::Client(InvalidClient::Expired { .. }) => Reason::ExpiredClient,
            Self::Client(InvalidClient::NoKey { .. }) => Reason::ClientAssertion,
            Self::UnknownOwner(_) => Reason::UnknownConnection,
            Self::OriginCount(..) => Reason::OriginCount,
            Self::Origin(_) => Reason::Origin,
            Self::Basic(_) => Reason::Basic,
            Self::ClientCertificate(..) => Reason::ClientCertificate,
        }
    }

    /// The owner and the id of the token, if the token exists.
    pub(super) fn known_token(&self) -> Option<(&TokenOwner, &str)> {
        match self {
            Self::Token(
                InvalidToken::Expired { id, owner } | InvalidToken::Revoked { id, owner },
            )
            | Self::Client(
                InvalidClient::Secret { id, owner }
                | InvalidClient::NoKey { id, owner }
                | InvalidClient::Expired { id, owner },
            ) => Some((owner, id)),
            Self::Assertion(_, Some(token))
            | Self::UnknownOwner(token)
            | Self::Address(_, token)
            | Self::OriginCount(token, _)
            | Self::Basic(token)
            | Self::ClientCertificate(token, _)
            | Self::Origin(token) => Some((&token.owner, &token.id)),
            _ => None,
        }
    }
}

/// Counts, limits and logs denied requests.
pub(super) struct Denials {
    started: Stopwatch,
    limiter: DenyLimiter,
    summary: LogSummary<Kind>,
    /// The same for requests with a known token, which no number of others may hide.
    of_known_tokens: LogSummary<Kind>,
    by_reason: [Counter; Reason::CATALOGUE.len()],
    throttled: Counter,
}

impl Denials {
    /// Allows each network `max_per_minute` answers of 401 a minute; 0 for no limit.
    pub(super) fn new(max_per_minute: u32) -> Self {
        Self {
            started: Stopwatch::start(),
            limiter: DenyLimiter::new(max_per_minute),
            summary: LogSummary::default(),
            of_known_tokens: LogSummary::default(),
            by_reason: Default::default(),
            throttled: Counter::default(),
        }
    }

    /// Changes the limit.
    pub(super) fn set_limit(&self, max_per_minute: u32) {
        self.limiter.set_limit(max_per_minute);
    }

    /// Counts a denial, and logs it if it begins a burst. Returns the failure for the client, and whether the
    /// denial was logged.
    pub(super) fn record(&self, denial: &Denial, request: &str) -> (Failure, bool) {
        let Denial { address, reason } = denial;
        let (network, now) = ((*address).into(), self.started.elapsed());
        let code = reason.code();
        if let Some(count) = self.by_reason.get(code as usize) {
            count.add_one();
        }
        let (status, failure) = match self.limiter.check(network, now) {
            None => (StatusCode::UNAUTHORIZED, Failure::Unauthenticated),
            Some(wait) => {
                self.throttled.add_one();
                (StatusCode::TOO_MANY_REQUESTS, Failure::TooManyDenials(wait))
            }
        };
        let known = reason.known_token();
        let counts = known.is_some() && code.may_have_known_token();
        let summary = if counts { &self.of_known_tokens } else { &self.summary };
        let is_first = summary.note((network, code.as_str()), now);
        if is_first {
            let (status, reason) = (status.as_u16(), reason.to_string());
            match known {
                Some((owner, token)) => {
                    let (connection, application) = owner.names();
                    tracing::warn!(
                        request, %address, status, reason, connection, application, token,
                        "request denied"
                    );
                }
                None => tracing::warn!(request, %address, status, reason, "request denied"),
            }
        }
        (failure, is_first)
    }

    /// Logs how often bursts were repeated whose time is over.
    pub(super) fn log_due(&self, requests: &RequestLog) {
        log(self.of_known_tokens.due(self.started.elapsed()), requests);
        log(self.summary.due(self.started.elapsed()), requests);
    }

    /// Logs the repetitions that no line has reported yet.
    pub(super) fn flush(&self, requests: &RequestLog) {
        log(self.of_known_tokens.rest(self.started.elapsed()), requests);
        log(self.summary.rest(self.started.elapsed()), requests);
    }

    /// How many requests were denied for each reason that the gate has.
    pub(super) fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> {
        let reasons = Reason::CATALOGUE.into_iter().map(|(reason, _)| reason);
        let counted = reasons.zip(self.by_reason.iter().map(Counter::value));
        let after_the_gate = [Reason::Scope, Reason::MayGrant, Reason::TokenScope];
        counted.filter(move |(reason, _)| !after_the_gate.contains(reason))
    }

    /// How many denied requests were answered 429.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.value()
    }
}

/// Logs summaries, in the log and in the request log.
fn log(summaries: Vec<Suppressed<Kind>>, requests: &RequestLog) {
    for Suppressed { kind, count, within } in summaries {
        let seconds = within.as_secs();
        let (address, reason) = match kind {
            Some((network, reason)) => (Some(network.address()), reason),
            None => (None, "various"),
        };
        let repeated = Repetition { count, seconds };
        let now = Clock::System.now();
        requests.note_denied(&RequestEntry::summary(now, address, reason, repeated));
        match kind {
            Some((network, reason)) => {
                tracing::warn!(address = %network, count, seconds, reason, "denied (repeated)");
            }
            None => {
                tracing::warn!(count, seconds, "denied from other addresses, too many to list");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let denials = Denials::new(0);
        let address = IpAddr::from([192, 0, 2, 1]);
        for reason in [DenyReason::ForwardedFor, DenyReason::NoToken, DenyReason::Malformed] {
            denials.record(&Denial { address, reason }, "1");
        }
        let counted: Vec<Reason> = denials
            .by_reason()
            .filter(|(_, count)| *count == 1)
            .map(|(reason, _)| reason)
            .collect();
        assert_eq!(counted, [Reason::ForwardedFor, Reason::NoToken, Reason::MalformedToken]);
        for (index, (reason, _)) in Reason::CATALOGUE.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
