//! Answers as HTTP.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

use crate::directory::{Page, Stored};
use crate::scim::discovery::LIST_RESPONSE;
use crate::scim::resource;

/// What goes back to the client.
pub(super) type Answer = Response<Full<Bytes>>;

/// The media type of every body that goes out (RFC 7644, section 8.1).
pub(super) const SCIM_JSON: &str = "application/scim+json";

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// An answer with a body in JSON. What it tells is not for caches on the way.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// One resource, at its location.
pub(super) fn one(status: StatusCode, stored: &Stored, location: &str) -> Answer {
    let mut body = Vec::new();
    resource::serve(&stored.record.json, location, &mut body);
    let mut answer = json(status, body);
    tag(&mut answer, stored);
    if let (StatusCode::CREATED, Ok(location)) = (status, HeaderValue::from_str(location)) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

/// The client knows this version already.
pub(super) fn not_modified(stored: &Stored) -> Answer {
    let mut answer = empty(StatusCode::NOT_MODIFIED);
    tag(&mut answer, stored);
    answer
}

fn tag(answer: &mut Answer, stored: &Stored) {
    if let Ok(tag) = HeaderValue::from_str(&stored.record.version.to_string()) {
        answer.headers_mut().insert(ETAG, tag);
    }
}

/// A page of resources; `location` tells where each is.
pub(super) fn page(page: &Page, location: impl Fn(&Stored) -> String) -> Answer {
    let mut body = format!(
        "{{\"schemas\":[\"{LIST_RESPONSE}\"],\"totalResults\":{},\"startIndex\":{},\"itemsPerPage\":{},\"Resources\":[",
        page.total_results,
        page.start_index,
        page.resources.len(),
    )
    .into_bytes();
    for (number, stored) in page.resources.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        resource::serve(&stored.record.json, &location(stored), &mut body);
    }
    body.extend_from_slice(b"]}");
    json(StatusCode::OK, body)
}
