//! The gate: what every request passes before a handler sees it.
//!
//! The order is the policy. Address first, so that a stranger costs no hash; then the token, which
//! says which connection is speaking; then that connection's own allowlist and origin. A refusal says
//! the same to everyone who may not know more; log and audit trail have the true reason.
//!
//! The origin header is sent by the client: it keeps mistakes out, never a thief.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};
use jiff::Timestamp;

use super::denial::Denial;
use super::request_metrics::{ConnectionMetrics, RequestMetrics};
use crate::access::DefaultAccess;
use crate::config::{AddressSet, Compat, Config, Origin};
use crate::connection::method::Manner;
use crate::connection::token::TokenSecret;
use crate::directory::{self, Directory, InvalidToken};
use crate::event::{Actor, Reason};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("x-request-origin");

/// The seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// What is asked of every request.
pub(super) struct Gate {
    connections: BTreeMap<String, Rules>,
    /// Who may speak for others.
    trusted_proxies: AddressSet,
    /// The addresses from which some connection may speak; `None` if some may from any.
    anybody: Option<AddressSet>,
}

struct Rules {
    allowlist: Option<AddressSet>,
    origin: Option<Origin>,
    manner: Manner,
    compat: Compat,
    held_to: directory::ConnectionRules,
    default_access: Arc<DefaultAccess>,
    daily_requests: Option<u32>,
    requests: Arc<ConnectionMetrics>,
}

/// Who passed the gate.
pub(super) struct Admitted {
    /// The connection that is speaking.
    pub connection: String,
    /// What its method is used to.
    pub manner: Manner,
    /// What becomes of attributes that no schema knows.
    pub compat: Compat,
    /// What its changes are held to.
    pub rules: directory::ConnectionRules,
    /// What its accounts get if a request names no workspace.
    pub default_access: Arc<DefaultAccess>,
    /// How many requests it may make in a day.
    pub daily_requests: Option<u32>,
    /// What it has asked by now.
    pub requests: Arc<ConnectionMetrics>,
    token: String,
    address: IpAddr,
}

impl Admitted {
    /// Counts the request against its connection's share of the day.
    ///
    /// # Errors
    ///
    /// [`QuotaUsedUp`]: it is beyond that.
    pub(super) fn count(&self, now: Timestamp) -> Result<(), QuotaUsedUp> {
        let Some(limit) = self.daily_requests else { return Ok(()) };
        let second = now.as_second().max(0) as u64;
        let number = self.requests.number_of_day((second / DAY) as u32);
        if number <= limit {
            return Ok(());
        }
        if number == limit + 1 {
            tracing::warn!(
                connection = self.connection,
                daily_requests = limit,
                "it has made its requests of today; those until midnight UTC are answered 429"
            );
        }
        Err(QuotaUsedUp { limit, left: Duration::from_secs(DAY - second % DAY) })
    }

    pub(super) fn into_actor(self) -> Actor {
        Actor::Connection { name: self.connection, token: self.token, address: self.address }
    }
}

/// Who spoke, as a token says that is one of ours.
#[derive(Debug)]
pub(super) struct Speaker {
    connection: String,
    token: String,
}

/// A connection has made its requests of the day.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuotaUsedUp {
    /// How many they are.
    pub limit: u32,
    /// Until the next day begins, in UTC.
    pub left: Duration,
}

/// The true reason of a refusal; for log, metrics and audit trail alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum DenyReason {
    #[error("X-Forwarded-For of the trusted proxy is not a list of addresses")]
    ForwardedFor,
    #[error("address {0} is on no connection's ip_allowlist")]
    AddressOfNobody(IpAddr),
    #[error("no bearer token was sent")]
    NoToken,
    #[error("several Authorization headers were sent")]
    SeveralTokens,
    #[error("what was sent is not a scimd token, or is mistyped")]
    Malformed,
    #[error("{0}")]
    Token(#[from] InvalidToken),
    #[error("the token's connection {} is not in the configuration", .0.connection)]
    UnknownConnection(Speaker),
    #[error("address {0} is not on the ip_allowlist of connection {name}", name = .1.connection)]
    Address(IpAddr, Speaker),
    #[error("connection {} needs the header X-Request-Origin once, and it was sent {count} times", .0.connection, count = .1)]
    OriginCount(Speaker, usize),
    #[error("X-Request-Origin is not the service_origin of connection {}", .0.connection)]
    Origin(Speaker),
}

impl DenyReason {
    /// The word for it in metrics and audit trail.
    pub(super) fn code(&self) -> Reason {
        match self {
            Self::ForwardedFor => Reason::ForwardedFor,
            Self::AddressOfNobody(_) | Self::Address(..) => Reason::Address,
            Self::NoToken => Reason::NoToken,
            Self::SeveralTokens => Reason::SeveralTokens,
            Self::Malformed => Reason::MalformedToken,
            Self::Token(InvalidToken::Unknown) => Reason::UnknownToken,
            Self::Token(InvalidToken::Expired { .. }) => Reason::ExpiredToken,
            Self::UnknownConnection(_) => Reason::UnknownConnection,
            Self::OriginCount(..) => Reason::OriginCount,
            Self::Origin(_) => Reason::Origin,
        }
    }

    /// The connection and the id of the token, if what was sent is a token of ours.
    pub(super) fn token_owner(&self) -> Option<(&str, &str)> {
        match self {
            Self::Token(InvalidToken::Expired { id, connection }) => Some((connection, id)),
            Self::UnknownConnection(speaker)
            | Self::Address(_, speaker)
            | Self::OriginCount(speaker, _)
            | Self::Origin(speaker) => Some((&speaker.connection, &speaker.token)),
            _ => None,
        }
    }
}

impl Gate {
    pub(super) fn new(config: &Config, request_metrics: &RequestMetrics) -> Self {
        let allowlists = config.connections.values().map(|rules| rules.ip_allowlist.clone());
        Self {
            connections: config
                .connections
                .iter()
                .map(|(name, connection)| {
                    let rules = Rules {
                        allowlist: connection.ip_allowlist.clone(),
                        origin: connection.service_origin.clone(),
                        manner: Manner::of(connection.method),
                        compat: connection.compat,
                        held_to: connection.into(),
                        default_access: Arc::new(DefaultAccess::new(
                            &connection.default_workspace,
                            &connection.default_permissions,
                        )),
                        daily_requests: connection.daily_requests,
                        requests: request_metrics.connection(name),
                    };
                    (name.clone(), rules)
                })
                .collect(),
            trusted_proxies: config.listen.trusted_proxies.clone(),
            anybody: allowlists.collect::<Option<Vec<_>>>().map(|all| all.into_iter().collect()),
        }
    }

    /// The connections that may be let in.
    pub(super) fn connections(&self) -> impl Iterator<Item = &str> {
        self.connections.keys().map(String::as_str)
    }

    /// Lets a request in, or not.
    pub(super) fn admit(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        directory: &Directory,
    ) -> Result<Admitted, Denial> {
        let address =
            self.address(peer, headers).map_err(|reason| Denial { address: peer, reason })?;
        self.check(address, headers, directory).map_err(|reason| Denial { address, reason })
    }

    fn check(
        &self,
        address: IpAddr,
        headers: &HeaderMap,
        directory: &Directory,
    ) -> Result<Admitted, DenyReason> {
        if self.anybody.as_ref().is_some_and(|anybody| !anybody.contains(address)) {
            return Err(DenyReason::AddressOfNobody(address));
        }
        let token = directory.authenticate(&presented(headers)?)?;
        let speaker = || Speaker { connection: token.connection.clone(), token: token.id.clone() };
        let Some(rules) = self.connections.get(&token.connection) else {
            return Err(DenyReason::UnknownConnection(speaker()));
        };
        if rules.allowlist.as_ref().is_some_and(|allowlist| !allowlist.contains(address)) {
            return Err(DenyReason::Address(address, speaker()));
        }
        if let Some(origin) = &rules.origin {
            let mut sent = headers.get_all(REQUEST_ORIGIN).iter();
            let (Some(header), None) = (sent.next(), sent.next()) else {
                let count = headers.get_all(REQUEST_ORIGIN).iter().count();
                return Err(DenyReason::OriginCount(speaker(), count));
            };
            if !header.to_str().is_ok_and(|header| origin.matches(header)) {
                return Err(DenyReason::Origin(speaker()));
            }
        }
        Ok(Admitted {
            manner: rules.manner,
            compat: rules.compat,
            rules: rules.held_to,
            default_access: Arc::clone(&rules.default_access),
            daily_requests: rules.daily_requests,
            requests: Arc::clone(&rules.requests),
            connection: token.connection,
            token: token.id,
            address,
        })
    }

    /// Whose address counts: the socket's, or the one that a trusted proxy names. From right to left,
    /// since each proxy appends the address that it saw; the first that is no proxy of ours.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, DenyReason> {
        if !self.trusted_proxies.contains(peer) {
            return Ok(peer);
        }
        let mut address = peer;
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        for line in lines.into_iter().rev() {
            let line = line.to_str().map_err(|_| DenyReason::ForwardedFor)?;
            for item in line.rsplit(',') {
                address = named(item.trim()).ok_or(DenyReason::ForwardedFor)?.to_canonical();
                if !self.trusted_proxies.contains(address) {
                    return Ok(address);
                }
            }
        }
        Ok(address)
    }
}

/// The address in an item of X-Forwarded-For; some proxies add the port.
fn named(item: &str) -> Option<IpAddr> {
    let with_port = || item.parse().ok().map(|socket: SocketAddr| socket.ip());
    item.parse().ok().or_else(with_port)
}

/// The token in the Authorization header: `Bearer …`, or bare as some clients send it.
fn presented(headers: &HeaderMap) -> Result<TokenSecret, DenyReason> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = sent.next().ok_or(DenyReason::NoToken)?;
    if sent.next().is_some() {
        return Err(DenyReason::SeveralTokens);
    }
    let text = header.to_str().map_err(|_| DenyReason::Malformed)?.trim();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim(),
        _ => text,
    };
    TokenSecret::parse(token).ok_or(DenyReason::Malformed)
}
