//! HTTP responses, with a body or without one.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// A response to a client.
pub(super) type HttpResponse = Response<Full<Bytes>>;

/// The media type of SCIM (RFC 7644, section 8.1).
pub(super) const SCIM_JSON: &str = "application/scim+json";

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> HttpResponse {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// A response with a body in SCIM's JSON.
pub(super) fn json_body(status: StatusCode, bytes: impl Into<Bytes>) -> HttpResponse {
    body(status, SCIM_JSON, bytes)
}

/// A response with a body, which no cache may store.
pub(super) fn body(
    status: StatusCode,
    media_type: &'static str,
    bytes: impl Into<Bytes>,
) -> HttpResponse {
    let mut answer = Response::new(Full::new(bytes.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
