//! `GET /.well-known/oauth-authorization-server` (RFC 8414).

use hyper::StatusCode;

use crate::http::context::HttpContext;
use crate::http::health::Health;
use crate::http::respond::{self, HttpResponse, JSON};

/// Answers with the description of the authorization server.
pub(in crate::http) fn metadata(context: &HttpContext, _: Health) -> HttpResponse {
    respond::body(StatusCode::OK, JSON, context.oauth_metadata.clone())
}
