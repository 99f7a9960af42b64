//! The gate: authenticates and authorizes every request before a handler sees it.
//!
//! Checks run from cheap to expensive: peer address, credential, the caller's own allowlist, client
//! certificate, origin; then, once the route is known, scope. All denials before the route look the same to the client, so
//! that a stranger cannot tell a wrong token from a wrong address; log and audit trail have the reason.
//!
//! The client chooses the origin header: it catches mistakes, and stops no attacker.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use jiff::Timestamp;

use super::audience::{Audience, TokenScope};
use super::credential::{Credential, credential};
use super::daily_quota::QuotaExceeded;
use super::denial::{Denial, DenyReason, KnownToken};
use super::error::Failure;
use super::request_metrics::{CallerMetrics, RequestMetrics};
use crate::access::DefaultAccess;
use crate::config::Config;
use crate::connection::method::ClientProfile;
use crate::connection::token::{Token, TokenOwner, TokenSecret};
use crate::connection::{
    AddressSet, ApplicationScope, ApplicationSettings, Compat, ConnectionMethod,
    ConnectionSettings, Origin, Scope,
};
use crate::directory::{self, Directory, InvalidToken, ProvenClient};
use crate::event::Actor;
use crate::transport::Peer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("x-request-origin");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the token of a connection permits.
const CONNECTION_SCOPES: &[TokenScope] = &[TokenScope::Read, TokenScope::Write];
/// What the token of a connection permits that may only read.
const READER_SCOPES: &[TokenScope] = &[TokenScope::Read];

/// The checks of a configuration.
pub(super) struct Gate {
    /// The policy for each owner of tokens.
    callers: BTreeMap<TokenOwner, CallerPolicy>,
    /// The proxies whose X-Forwarded-For counts.
    trusted_proxies: AddressSet,
    /// The union of all allowlists; `None` if some connection has none.
    any_allowlist: Option<AddressSet>,
}

/// What the gate asks of the requests of one connection or application, and what it gives to their handlers.
struct CallerPolicy {
    allowlist: Option<AddressSet>,
    origin: Option<Origin>,
    /// Whether clients may send their token as the password of HTTP Basic.
    basic: bool,
    /// Whether clients must present a certificate of the connection's CA.
    needs_certificate: bool,
    manner: ClientProfile,
    compat: Compat,
    rules: directory::ConnectionRules,
    default_access: Arc<DefaultAccess>,
    daily_requests: Option<u32>,
    scopes: &'static [TokenScope],
    requests: Arc<CallerMetrics>,
}

impl CallerPolicy {
    fn of_connection(connection: &ConnectionSettings, requests: Arc<CallerMetrics>) -> Self {
        Self {
            allowlist: connection.ip_allowlist.clone(),
            origin: connection.service_origin.clone(),
            basic: connection.basic,
            needs_certificate: connection.client_ca.is_some(),
            manner: ClientProfile::of(connection.method),
            compat: connection.compat,
            rules: connection.into(),
            default_access: Arc::new(DefaultAccess::new(
                &connection.default_workspace,
                &connection.default_permissions,
            )),
            daily_requests: connection.daily_requests,
            scopes: match connection.scope {
                Scope::Read => READER_SCOPES,
                Scope::All | Scope::Own => CONNECTION_SCOPES,
            },
            requests,
        }
    }

    /// Checks the address and the certificate of a client.
    fn check_peer(
        &self,
        peer: &Peer,
        address: IpAddr,
        directory: &Directory,
        known: impl Fn() -> KnownToken,
    ) -> Result<(), DenyReason> {
        if self.allowlist.as_ref().is_some_and(|allowlist| !allowlist.contains(address)) {
            return Err(DenyReason::Address(address, known()));
        }
        if self.needs_certificate {
            let (known, now) = (known(), directory.time_for_expiry());
            peer.check_certificate(known.owner.name(), now)
                .map_err(|problem| DenyReason::ClientCertificate(known, problem))?;
        }
        Ok(())
    }

    /// An application changes nothing: rules and default access are never used.
    fn of_application(application: &ApplicationSettings, requests: Arc<CallerMetrics>) -> Self {
        let may = |scope| application.scopes.contains(&scope);
        let scopes: &[TokenScope] =
            match (may(ApplicationScope::Read), may(ApplicationScope::Events)) {
                (true, true) => &[TokenScope::Read, TokenScope::Events],
                (true, false) => &[TokenScope::Read],
                (false, true) => &[TokenScope::Events],
                (false, false) => &[],
            };
        Self {
            allowlist: application.ip_allowlist.clone(),
            origin: None,
            basic: false,
            needs_certificate: false,
            manner: ClientProfile::of(ConnectionMethod::Generic),
            compat: Compat::default(),
            rules: directory::ConnectionRules::default(),
            default_access: Arc::new(DefaultAccess::new("", &[])),
            daily_requests: None,
            scopes,
            requests,
        }
    }
}

/// An authenticated caller.
pub(super) struct Admitted {
    /// The connection or application whose token was sent.
    pub owner: TokenOwner,
    /// What clients of its method expect.
    pub manner: ClientProfile,
    /// How attributes that no schema knows are treated.
    pub compat: Compat,
    /// The rules for its changes.
    pub rules: directory::ConnectionRules,
    /// The access of its accounts whose request names no workspace.
    pub default_access: Arc<DefaultAccess>,
    /// The limit on its requests of a day.
    pub daily_requests: Option<u32>,
    /// What the token permits.
    pub scopes: &'static [TokenScope],
    /// The metrics of its requests.
    pub requests: Arc<CallerMetrics>,
    /// The id of the token.
    pub token: String,
    /// The address of the client.
    pub address: IpAddr,
}

impl Admitted {
    /// Counts the request against the daily quota of its connection.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`]: the quota is used up.
    pub(super) fn count(&self, now: Timestamp) -> Result<(), QuotaExceeded> {
        match self.daily_requests {
            Some(limit) => self.requests.of_day.count(self.owner.name(), limit, now),
            None => Ok(()),
        }
    }

    /// Where the requests of its connection are counted, if they have a limit.
    pub(super) fn quota(&self) -> Option<(Arc<CallerMetrics>, u32)> {
        self.daily_requests.map(|limit| (Arc::clone(&self.requests), limit))
    }

    /// The actor of its changes; `None` for an application, which makes none.
    pub(super) fn into_actor(self) -> Option<Actor> {
        match self.owner {
            TokenOwner::Connection(name) => {
                Some(Actor::Connection { name, token: self.token, address: self.address })
            }
            TokenOwner::Application(_) => None,
        }
    }
}

impl Gate {
    pub(super) fn new(config: &Config, request_metrics: &RequestMetrics) -> Self {
        let connections = config.connections.iter().map(|(name, connection)| {
            let owner = TokenOwner::Connection(name.clone());
            let requests = request_metrics.of(&owner);
            (owner, CallerPolicy::of_connection(connection, requests))
        });
        let applications = config.applications.iter().map(|(name, application)| {
            let owner = TokenOwner::Application(name.clone());
            let requests = request_metrics.of(&owner);
            (owner, CallerPolicy::of_application(application, requests))
        });
        let callers: BTreeMap<_, _> = connections.chain(applications).collect();
        let allowlists = callers.values().map(|policy| policy.allowlist.clone());
        Self {
            trusted_proxies: config.listen.trusted_proxies.clone(),
            any_allowlist: allowlists
                .collect::<Option<Vec<_>>>()
                .map(|all| all.into_iter().collect()),
            callers,
        }
    }

    /// All connections and applications.
    pub(super) fn callers(&self) -> impl Iterator<Item = &TokenOwner> {
        self.callers.keys()
    }

    /// Whether some connection takes its token as the password of HTTP Basic.
    pub(super) fn takes_basic(&self) -> bool {
        self.callers.values().any(|policy| policy.basic)
    }

    /// Authenticates a request.
    ///
    /// # Errors
    ///
    /// The denial, for log and audit trail.
    pub(super) fn authenticate(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        directory: &Directory,
    ) -> Result<Admitted, Denial> {
        let address = self
            .address(peer.address(), headers)
            .map_err(|reason| Denial { address: peer.address(), reason })?;
        self.check(peer, address, headers, directory).map_err(|reason| Denial { address, reason })
    }

    fn check(
        &self,
        peer: &Peer,
        address: IpAddr,
        headers: &HeaderMap,
        directory: &Directory,
    ) -> Result<Admitted, DenyReason> {
        if self.any_allowlist.as_ref().is_some_and(|allowlist| !allowlist.contains(address)) {
            // Most such requests are noise; one with a token of ours may be a thief's.
            let sent = credential(headers).ok();
            let known = sent.and_then(|sent| known(directory, &sent.secret));
            return Err(match known {
                Some(known) => DenyReason::Address(address, known),
                None => DenyReason::AddressOnNoAllowlist(address),
            });
        }
        let Credential { secret, user } = credential(headers)?;
        let presented = directory.authenticate(&secret)?;
        let token = presented.token();
        let known = || KnownToken { owner: token.owner.clone(), id: token.id.clone() };
        let Some(policy) = self.callers.get(&token.owner) else {
            return Err(DenyReason::UnknownOwner(known()));
        };
        if user.is_some_and(|user| !policy.basic || user != token.owner.name()) {
            return Err(DenyReason::Basic(known()));
        }
        policy.check_peer(peer, address, directory, known)?;
        if let Some(origin) = &policy.origin {
            let mut sent = headers.get_all(REQUEST_ORIGIN).iter();
            let (Some(header), None) = (sent.next(), sent.next()) else {
                let count = headers.get_all(REQUEST_ORIGIN).iter().count();
                return Err(DenyReason::OriginCount(known(), count));
            };
            if !header.to_str().is_ok_and(|header| origin.matches(header)) {
                return Err(DenyReason::Origin(known()));
            }
        }
        presented.note_use();
        Ok(Admitted {
            manner: policy.manner,
            compat: policy.compat,
            rules: policy.rules,
            default_access: Arc::clone(&policy.default_access),
            daily_requests: policy.daily_requests,
            requests: Arc::clone(&policy.requests),
            scopes: policy.scopes,
            owner: token.owner.clone(),
            token: token.id.clone(),
            address,
        })
    }

    /// Whether an owner of tokens may send requests of a scope from an address.
    pub(super) fn admits(&self, owner: &TokenOwner, address: IpAddr, scope: TokenScope) -> bool {
        self.callers.get(owner).is_some_and(|policy| {
            policy.allowlist.as_ref().is_none_or(|allowlist| allowlist.contains(address))
                && policy.scopes.contains(&scope)
        })
    }

    /// The address of an OAuth client, which some connection must allow.
    ///
    /// # Errors
    ///
    /// The denial, for log and audit trail.
    pub(super) fn client_address(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<IpAddr, Denial> {
        let denied = |address, reason| Denial { address, reason };
        let address = self.address(peer.address(), headers);
        let address = address.map_err(|reason| denied(peer.address(), reason))?;
        match &self.any_allowlist {
            Some(allowlist) if !allowlist.contains(address) => {
                Err(denied(address, DenyReason::AddressOnNoAllowlist(address)))
            }
            _ => Ok(address),
        }
    }

    /// Checks what the connection of an OAuth client asks of its requests, except the origin, which is for SCIM
    /// alone. Returns the metrics of the connection.
    ///
    /// # Errors
    ///
    /// The reason of the denial.
    pub(super) fn check_client(
        &self,
        peer: &Peer,
        address: IpAddr,
        client: &ProvenClient,
        directory: &Directory,
    ) -> Result<Arc<CallerMetrics>, DenyReason> {
        let known = || KnownToken { owner: client.owner.clone(), id: client.id.clone() };
        let policy = self.callers.get(&client.owner);
        let policy = policy.ok_or_else(|| DenyReason::UnknownOwner(known()))?;
        policy.check_peer(peer, address, directory, known)?;
        Ok(Arc::clone(&policy.requests))
    }

    /// The client's address: the socket's, or behind a trusted proxy the one that X-Forwarded-For names.
    /// Each proxy appends the address that it saw, so the last one that is no trusted proxy counts.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, DenyReason> {
        if !self.trusted_proxies.contains(peer) {
            return Ok(peer);
        }
        let mut address = peer;
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        for line in lines.into_iter().rev() {
            let line = line.to_str().map_err(|_| DenyReason::ForwardedFor)?;
            for item in line.rsplit(',') {
                address =
                    forwarded_item(item.trim()).ok_or(DenyReason::ForwardedFor)?.to_canonical();
                if !self.trusted_proxies.contains(address) {
                    return Ok(address);
                }
            }
        }
        Ok(address)
    }
}

/// The token with a secret, also one that has expired.
fn known(directory: &Directory, secret: &TokenSecret) -> Option<KnownToken> {
    match directory.authenticate(secret) {
        Ok(presented) => {
            let Token { owner, id, .. } = presented.token().clone();
            Some(KnownToken { owner, id })
        }
        Err(InvalidToken::Expired { owner, id } | InvalidToken::Revoked { owner, id }) => {
            Some(KnownToken { owner, id })
        }
        Err(InvalidToken::Unknown) => None,
    }
}

/// Checks that a caller with these scopes may call a route of this audience.
///
/// # Errors
///
/// [`Failure::Forbidden`]: the credential is valid, and the route wants a scope that it does not have.
pub(super) fn authorize(audience: Audience, scopes: &[TokenScope]) -> Result<(), Failure> {
    match audience {
        // Clients have proved themselves where the request is read.
        Audience::Public | Audience::Client => Ok(()),
        Audience::Token(scope) if scopes.contains(&scope) => Ok(()),
        Audience::Token(scope) => Err(Failure::Forbidden(format!(
            "This request requires the scope \"{}\", which the token does not have.",
            scope.as_str()
        ))),
    }
}

/// The address in an item of X-Forwarded-For. Some proxies add the port, or write IPv6 in brackets.
fn forwarded_item(item: &str) -> Option<IpAddr> {
    let with_port = || item.parse().ok().map(|socket: SocketAddr| socket.ip());
    let in_brackets = || {
        let address: Ipv6Addr = item.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
        Some(IpAddr::from(address))
    };
    item.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// Refuses a change that a page of another site makes a browser ask for.
///
/// # Errors
///
/// [`Failure::Forbidden`].
pub(super) fn check_site(audience: Audience, headers: &HeaderMap) -> Result<(), Failure> {
    let is_cross_site = headers.get_all(FETCH_SITE).iter().any(|site| site == "cross-site");
    if audience == Audience::Token(TokenScope::Write) && is_cross_site {
        return Err(Failure::Forbidden(
            "A page of another site may not change anything here (Sec-Fetch-Site: cross-site)."
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;
    use crate::connection::dialect::Dialect;
    use crate::http::routes::{ROUTES, Route};

    /// The failure of a caller with these scopes at a route.
    fn refusal(route: &Route, scopes: &[TokenScope]) -> Option<Failure> {
        authorize(route.audience, scopes).err()
    }

    #[test]
    fn a_token_without_the_scope_of_a_row_is_403_in_the_form_of_that_row() {
        for route in ROUTES {
            let Audience::Token(needed) = route.audience else {
                assert!(refusal(route, &[]).is_none(), "{} is public", route.template);
                continue;
            };
            let others = CONNECTION_SCOPES.iter().copied().filter(|scope| *scope != needed);
            for scopes in [Vec::new(), others.collect()] {
                let failure = refusal(route, &scopes).unwrap();
                let answer = route.errors.respond(failure.report("1", Dialect::Rfc), Dialect::Rfc);
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", route.template);
                assert_eq!(answer.headers()["content-type"], route.errors.media_type());
            }
            assert!(refusal(route, &[needed]).is_none(), "{}", route.template);
        }
    }

    #[test]
    fn a_forwarded_address_may_have_a_port_or_brackets() {
        let address = |item| forwarded_item(item).map(|address| address.to_string());
        for item in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(address(item).as_deref(), Some("2001:db8::1"), "{item}");
        }
        for item in ["192.0.2.1", "192.0.2.1:443"] {
            assert_eq!(address(item).as_deref(), Some("192.0.2.1"), "{item}");
        }
        for item in ["", "[]", "[192.0.2.1]", "[2001:db8::1", "2001:db8::1]", "[[2001:db8::1]]"] {
            assert_eq!(address(item), None, "{item}");
        }
    }

    #[test]
    fn the_token_of_a_connection_opens_every_route_but_the_feed() {
        for route in ROUTES {
            let is_feed = route.audience == Audience::Token(TokenScope::Events);
            assert_eq!(refusal(route, CONNECTION_SCOPES).is_some(), is_feed, "{}", route.template);
        }
    }
}
