//! Responses that represent resources: one resource, a page of them, or its version alone.

use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue, LOCATION};
use serde_json::Value;

use crate::access::Catalogue;
use crate::connection::dialect::ResourceForm;
use crate::directory::{Page, ShownResource, StoredResource};
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse};
use crate::scim::discovery::LIST_RESPONSE;
use crate::scim::resource::{EntityTag, ResourceId};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::scim::schemas::common::SCHEMAS;

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
    let mut answer = respond::json_body(status, body);
    tag(&mut answer, resource.tag);
    let location = location(view.base_url, resource_type, resource.stored.id);
    if let (StatusCode::CREATED, Ok(location)) = (status, HeaderValue::from_str(&location)) {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// 304: the client has what this tag stands for.
pub(super) fn not_modified(known: EntityTag) -> HttpResponse {
    let mut answer = respond::empty(StatusCode::NOT_MODIFIED);
    tag(&mut answer, known);
    answer
}

/// 204, with the version of the resource. Its groups are not read for this.
pub(super) fn no_content(stored: &StoredResource) -> HttpResponse {
    let mut answer = respond::empty(StatusCode::NO_CONTENT);
    tag(&mut answer, stored.record.version.into());
    answer
}

fn tag(answer: &mut HttpResponse, tag: EntityTag) {
    if let Ok(tag) = HeaderValue::from_str(&tag.to_string()) {
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
    Ok(respond::json_body(StatusCode::OK, body))
}
