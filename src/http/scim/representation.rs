//! Responses that represent resources: one resource, a page of them, or its version alone.

use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue, LOCATION};
use serde_json::Value;

use super::body_writer::{BodyWriter, LongList};
use crate::access::Catalogue;
use crate::connection::dialect::ResourceForm;
use crate::directory::{Page, ReferenceList, ShownResource, StoredResource};
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse};
use crate::http::work_limits::PAGE_BYTES;
use crate::scim::discovery::LIST_RESPONSE;
use crate::scim::resource::{EntityTag, ResourceId};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::scim::schemas::common::SCHEMAS;
use crate::text::digits::push_decimal;

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
    id.location(base_url, &resource_type.endpoint)
}

/// The bytes of references from which on the lists of a resource are written while they are sent.
const LONG_LIST: usize = 1024 * 1024;

/// The bytes from which on a page has room for as many as it may have.
const LARGE_PAGE: usize = 512 * 1024;

/// The room for what a page says of itself.
const PAGE_HEAD: usize = 320;

impl ClientView<'_> {
    /// Appends a resource as it is shown.
    fn show(
        &self,
        resource_type: &ResourceType,
        mut resource: ShownResource,
        body: &mut BodyWriter,
    ) -> Result<(), Failure> {
        let lists = match self.form {
            ResourceForm::Rfc(_) if resource.reference_bytes(self.base_url) > LONG_LIST => {
                std::mem::take(&mut resource.references)
            }
            _ => Vec::new(),
        };
        if self.form.is_stored(resource_type) {
            let lists_at = body.bytes.len() + resource.stored.record.meta_at;
            resource.serve(self.base_url, resource_type, &mut body.bytes);
            if !lists.is_empty() {
                let rest = body.bytes.split_off(lists_at.min(body.bytes.len()));
                self.push(resource_type, lists, body);
                body.bytes = rest;
            }
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
        serde_json::to_writer(&mut body.bytes, &shown).map_err(|_| Failure::Internal)?;
        if !lists.is_empty() {
            // Schemas and id are always shown, so that a comma is right.
            body.bytes.pop();
            self.push(resource_type, lists, body);
            body.bytes.push(b'}');
        }
        Ok(())
    }

    /// Appends lists of a resource that are written while they are sent.
    fn push(
        &self,
        resource_type: &ResourceType,
        lists: Vec<(String, ReferenceList)>,
        body: &mut BodyWriter,
    ) {
        for (name, references) in lists {
            let bytes = references.served_bytes(self.base_url);
            let projection = match self.form {
                ResourceForm::Rfc(projection) if !self.form.is_stored(resource_type) => {
                    Some(Box::new((resource_type.clone(), projection.clone())))
                }
                _ => None,
            };
            body.push(LongList::new(name, references, self.base_url, projection), bytes);
        }
    }
}

/// One resource, at its location.
pub(super) fn one(
    status: StatusCode,
    view: ClientView<'_>,
    resource_type: &ResourceType,
    resource: ShownResource,
) -> Result<HttpResponse, Failure> {
    let location = location(view.base_url, resource_type, resource.stored.id);
    let (known, mut body) = (resource.tag, BodyWriter::default());
    view.show(resource_type, resource, &mut body)?;
    let mut answer = respond::json_body(status, body.finish(&[]));
    tag(&mut answer, known);
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

/// A page that is being written (RFC 7644, section 3.4.2; RFC 9865, section 2).
pub(super) struct PageWriter {
    body: BodyWriter,
    items: usize,
}

impl PageWriter {
    pub(super) fn new() -> Self {
        Self { body: BodyWriter::with_room(PAGE_HEAD), items: 0 }
    }

    /// About how many bytes it has so far.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// Adds a resource; `false` if the page ends without it. The first is always added.
    pub(super) fn add(
        &mut self,
        view: ClientView<'_>,
        resource_type: &ResourceType,
        resource: ShownResource,
    ) -> Result<bool, Failure> {
        let (length, lists) = (self.body.bytes.len(), self.body.long_lists());
        if self.items > 0 {
            if self.body.len() + resource.reference_bytes(view.base_url) > PAGE_BYTES {
                return Ok(false);
            }
            if length > LARGE_PAGE {
                // Doubling it would take twice the memory of the page for a moment.
                self.body.bytes.reserve_exact(PAGE_BYTES.saturating_sub(length));
            }
            self.body.bytes.push(b',');
        }
        view.show(resource_type, resource, &mut self.body)?;
        if self.items > 0 && self.body.len() > PAGE_BYTES && self.body.long_lists() == lists {
            self.body.bytes.truncate(length);
            return Ok(false);
        }
        self.items += 1;
        Ok(true)
    }

    /// The answer.
    pub(super) fn finish(mut self, page: &Page) -> HttpResponse {
        let mut head = Vec::with_capacity(256);
        for piece in ["{\"schemas\":[\"", LIST_RESPONSE, "\"],\"totalResults\":"] {
            head.extend_from_slice(piece.as_bytes());
        }
        push_decimal(page.total_results as u64, &mut head);
        if let Some(start_index) = page.start_index {
            head.extend_from_slice(b",\"startIndex\":");
            push_decimal(start_index as u64, &mut head);
        }
        if let Some(cursor) = &page.next_cursor {
            head.extend_from_slice(format!(",\"nextCursor\":\"{cursor}\"").as_bytes());
        }
        head.extend_from_slice(b",\"itemsPerPage\":");
        push_decimal(self.items as u64, &mut head);
        head.extend_from_slice(b",\"Resources\":[");
        self.body.bytes.extend_from_slice(b"]}");
        respond::json_body(StatusCode::OK, self.body.finish(&head))
    }
}
