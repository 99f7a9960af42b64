//! The access token for a client that has proved itself.

use hyper::StatusCode;
use hyper::header::{HeaderValue, PRAGMA};
use serde_json::json;

use super::token_request::TokenRequest;
use crate::directory::{AccessToken, NoAccessToken, ProvenClient};
use crate::http::authorization_server::{GRANT, SCOPE};
use crate::http::context::HttpContext;
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse, JSON};
use crate::text::excerpt;

/// Answers a token request of a client that has proved itself.
pub(in crate::http) fn issue(
    request: &TokenRequest,
    client: &ProvenClient,
    context: &HttpContext,
) -> Result<HttpResponse, Failure> {
    check(request)?;
    let token = context.directory.access_token(client);
    let AccessToken { secret, expires_in } = token.map_err(|problem| match problem {
        NoAccessToken::Unknown => Failure::InvalidClient { basic: request.is_basic() },
        NoAccessToken::TooMany(wait) => Failure::TooManyTokenRequests(wait),
    })?;
    let body = json!({
        "access_token": secret.expose(),
        "token_type": "Bearer",
        "expires_in": expires_in,
        "scope": SCOPE,
    });
    let mut answer = respond::body(StatusCode::OK, JSON, body.to_string());
    answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

/// Checks what the client asks for.
fn check(request: &TokenRequest) -> Result<(), Failure> {
    let wrong = |error, detail| Err(Failure::TokenRequest { error, detail });
    match request.parameter("grant_type") {
        Some(GRANT) => {}
        None => {
            return wrong("invalid_request", format!("grant_type is missing; send {GRANT}."));
        }
        Some(other) => {
            let other = excerpt(other, 100);
            let detail = format!("The grant_type \"{other}\" is not supported; send {GRANT}.");
            return wrong("unsupported_grant_type", detail);
        }
    }
    let mut scopes = request.parameter("scope").unwrap_or(SCOPE).split(' ');
    match scopes.find(|scope| ![SCOPE, ""].contains(scope)) {
        None => Ok(()),
        Some(other) => {
            let other = excerpt(other, 100);
            let detail = format!("There is no scope \"{other}\"; send {SCOPE}, or no scope.");
            wrong("invalid_scope", detail)
        }
    }
}
