//! A request of an OAuth client, from its head to its answer: the client proves itself in the request.

use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::ScimService;
use super::body::{self, BodyLimits};
use super::context::HttpContext;
use super::denial::{Denial, DenyReason};
use super::error::Failure;
use super::oauth::{self, ClientCredentials, TokenRequest};
use super::request_record::{Caller, RequestRecord};
use super::respond::HttpResponse;
use super::routes::ClientHandler;
use crate::connection::assertion::Assertion;
use crate::connection::client::CLIENT_PREFIX;
use crate::directory::ProvenClient;
use crate::transport::Peer;

/// The size of the form, in bytes.
const FORM_BYTES: usize = 32 * 1024;
/// The time for the form: clients are not known before it is read.
const FORM_TIME: Duration = Duration::from_secs(10);

impl ScimService {
    /// Answers a request of a client that proves itself in the request.
    pub(super) async fn answer_client(
        &self,
        context: &HttpContext,
        peer: &Peer,
        parts: &Parts,
        body: Incoming,
        handler: ClientHandler,
        record: &mut RequestRecord,
    ) -> Result<HttpResponse, Failure> {
        let address = match context.gate.client_address(peer, &parts.headers) {
            Ok(address) => address,
            Err(denial) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(self.deny_client(context, peer, &denial, false, record));
            }
        };
        let limits = BodyLimits { bytes: FORM_BYTES, time: FORM_TIME.min(context.body_timeout) };
        let form = body::read_form(parts, body, limits).await;
        let request = form.and_then(|form| TokenRequest::read(parts, &form));
        let request = request.inspect_err(|_| peer.refused())?;
        let proven = self.prove(context, &request).await.and_then(|client| {
            let requests = context.gate.check_client(peer, address, &client, &context.directory)?;
            Ok((client, requests))
        });
        match proven {
            Ok((client, requests)) => {
                peer.authenticated();
                record.caller = caller(&client, address);
                record.requests = Some(requests);
                handler(&request, &client, context)
            }
            Err(reason) => {
                let denial = Denial { address, reason };
                Err(self.deny_client(context, peer, &denial, request.is_basic(), record))
            }
        }
    }

    /// Denies a token request. Every failed authentication looks the same to the client.
    fn deny_client(
        &self,
        context: &HttpContext,
        peer: &Peer,
        denial: &Denial,
        basic: bool,
        record: &mut RequestRecord,
    ) -> Failure {
        match self.deny(context, peer, denial, record) {
            Failure::Unauthenticated => Failure::InvalidClient { basic },
            throttled => throttled,
        }
    }

    /// Finds out which client has sent a request.
    async fn prove(
        &self,
        context: &HttpContext,
        request: &TokenRequest,
    ) -> Result<ProvenClient, DenyReason> {
        match request.credentials() {
            ClientCredentials::None(why) => Err(DenyReason::NoClient(why)),
            ClientCredentials::Secret { id, secret } => {
                Ok(context.directory.check_client_secret(id, secret.expose())?)
            }
            ClientCredentials::Assertion { id, assertion } => {
                let now = context.directory.time_for_expiry().as_second();
                let assertion = Assertion::read(assertion.expose())
                    .map_err(|error| DenyReason::Assertion(error.to_string(), None))?;
                let id = id.as_deref();
                let is_own = |id: &&str| id.starts_with(CLIENT_PREFIX) && !context.trusts.names(id);
                match id.or_else(|| assertion.subject()).filter(is_own) {
                    Some(id) => oauth::prove(context, id, &assertion, now),
                    None => context.trusts.prove(id, &assertion, &self.issuer_keys, now).await,
                }
            }
        }
    }
}

fn caller(client: &ProvenClient, address: IpAddr) -> Caller {
    Caller {
        owner: Some(client.owner.clone()),
        token: Some(client.id.clone()),
        address: Some(address),
    }
}
