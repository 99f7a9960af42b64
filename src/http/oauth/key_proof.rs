//! Clients that prove themselves by an assertion that they sign with a key of their own (RFC 7523).

use std::fmt::Display;

use crate::connection::assertion::{
    Assertion, AssertionAlgorithm, AssertionKind, ExpectedClaims, MAX_CLIENT_LIFE,
};
use crate::directory::{InvalidClient, ProvenClient};
use crate::http::context::HttpContext;
use crate::http::denial::{DenyReason, KnownToken};
use crate::text::excerpt;

/// Checks the assertion of a client, which can't be used again. `now` is in seconds since 1970.
///
/// # Errors
///
/// The reason of the denial: claim by claim, what was expected and what came.
pub(in crate::http) fn prove(
    context: &HttpContext,
    id: &str,
    assertion: &Assertion,
    now: i64,
) -> Result<ProvenClient, DenyReason> {
    let (client, keys) = context.directory.client_keys(id)?;
    let ProvenClient { id, owner } = client.clone();
    let bad = |error: &dyn Display| {
        let known = KnownToken { owner: owner.clone(), id: id.clone() };
        DenyReason::Assertion(error.to_string(), Some(known))
    };
    let expected = ExpectedClaims {
        kind: AssertionKind::OwnKey,
        issuer: &client.id,
        subject: &client.id,
        audiences: &context.oauth_audiences,
        max_life: MAX_CLIENT_LIFE,
    };
    assertion.check_claims(&expected, now).map_err(|error| bad(&error))?;
    let signed = assertion.check_signature(&keys, AssertionAlgorithm::ALL);
    signed.map_err(|error| bad(&error))?;
    if !context.directory.is_valid_client(&client.id) {
        return Err(InvalidClient::Expired { id, owner }.into());
    }
    // The disk is waited for; the runtime moves the other connections of this thread meanwhile.
    let used = tokio::task::block_in_place(|| context.directory.use_assertion(&client, assertion));
    match used {
        Ok(()) => Ok(client),
        Err(error) => {
            let came = excerpt(assertion.id().unwrap_or_default(), 100);
            Err(bad(&format!("jti: expected a new one, and \"{came}\" came: {error}")))
        }
    }
}
