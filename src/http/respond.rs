//! Responses: resources, pages and empty ones.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::error::Failure;
use crate::access::Catalogue;
use crate::connection::dialect::ResourceForm;
use crate::directory::{Page, ShownResource, StoredResource};
use crate::scim::discovery::LIST_RESPONSE;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::scim::schemas::common::SCHEMAS;

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

/// How resources are shown to one client.
#[derive(Clone, Copy)]
pub(super) struct ClientView<'a> {
    /// The URL below which resources are located.
    pub(super) base_url: &'a str,
    /// The access that accounts may have.
    pub(super) catalogue: &'a Catalogue,
    /// The form in which they are shown, and their attributes.
    pub(super) form: &'a ResourceForm,
}

/// The URL of a resource.
pub(super) fn location(base_url: &str, resource_type: &ResourceType, id: ResourceId) -> String {
    format!("{base_url}/{}/{id}", resource_type.endpoint)
}

impl ClientView<'_> {
    /// Appends a resource as it is shown.
    fn show(
        &self,
        resource_type: &ResourceType,
        resource: &ShownResource,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if self.form.is_stored(resource_type) {
            resource.serve(self.base_url, resource_type, out);
            return Ok(());
        }
        let mut whole = Vec::new();
        resource.serve(self.base_url, resource_type, &mut whole);
        let whole = serde_json::from_slice(&whole).map_err(|_| Failure::Internal)?;
        let mut shown = self.form.apply(self.catalogue, resource_type, whole);
        if let (true, Some(Value::Array(schemas))) =
            (shown.contains_key(ACCESS), shown.get_mut(SCHEMAS))
        {
            schemas.push(ACCESS.into());
        }
        serde_json::to_writer(out, &shown).map_err(|_| Failure::Internal)
    }
}

/// One resource, at its location.
pub(super) fn one(
    status: StatusCode,
    view: ClientView<'_>,
    resource_type: &ResourceType,
    resource: &ShownResource,
) -> Result<HttpResponse, Failure> {
    let mut body = Vec::new();
    view.show(resource_type, resource, &mut body)?;
    let mut answer = json_body(status, body);
    tag(&mut answer, &resource.stored);
    let location = location(view.base_url, resource_type, resource.stored.id);
    if let (StatusCode::CREATED, Ok(location)) = (status, HeaderValue::from_str(&location)) {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// 304: the client has this version.
pub(super) fn not_modified(stored: &StoredResource) -> HttpResponse {
    let mut answer = empty(StatusCode::NOT_MODIFIED);
    tag(&mut answer, stored);
    answer
}

/// 204, with the version of the resource.
pub(super) fn no_content(stored: &StoredResource) -> HttpResponse {
    let mut answer = empty(StatusCode::NO_CONTENT);
    tag(&mut answer, stored);
    answer
}

fn tag(answer: &mut HttpResponse, stored: &StoredResource) {
    if let Ok(tag) = HeaderValue::from_str(&stored.record.version.to_string()) {
        answer.headers_mut().insert(ETAG, tag);
    }
}

/// A page of resources (RFC 7644, section 3.4.2; RFC 9865, section 2).
pub(super) fn page<'a>(
    page: &Page,
    view: impl Fn(&ResourceType) -> ClientView<'a>,
) -> Result<HttpResponse, Failure> {
    let mut body =
        format!("{{\"schemas\":[\"{LIST_RESPONSE}\"],\"totalResults\":{}", page.total_results);
    if let Some(start_index) = page.start_index {
        body.push_str(&format!(",\"startIndex\":{start_index}"));
    }
    if let Some(cursor) = &page.next_cursor {
        body.push_str(&format!(",\"nextCursor\":\"{cursor}\""));
    }
    body.push_str(&format!(",\"itemsPerPage\":{},\"Resources\":[", page.resources.len()));
    let mut body = body.into_bytes();
    for (number, (resource_type, resource)) in page.resources.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        view(resource_type).show(resource_type, resource, &mut body)?;
    }
    body.extend_from_slice(b"]}");
    Ok(json_body(StatusCode::OK, body))
}
