//! POST, GET, PUT, PATCH and DELETE for any resource type (RFC 7644, sections 3.3 to 3.6).

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::IF_NONE_MATCH;
use serde_json::{Map, Value};

use super::{Call, representation};
use crate::connection::dialect::ResourceForm;
use crate::connection::method::PatchReply;
use crate::directory::{Create, Delete, Patch, Replace, StoredResource};
use crate::http::error::Failure;
use crate::http::precondition;
use crate::http::respond::{self, HttpResponse};
use crate::http::turns::Turn;
use crate::scim::exchange::Exchange;
use crate::scim::json;
use crate::scim::patch::PatchRequest;
use crate::scim::query;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::validate::{Validated, check_id};

pub(in crate::http) async fn create(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let resource_type = call.resource_type()?;
    let form = call.form(&resource_type, &call.parameters()?)?;
    let resource =
        resource(&call, &resource_type, Exchange::Create, json::parse_object(&call.body)?, None)?;
    let command =
        Create { resource_type: Arc::clone(&resource_type), id: None, resource, rules: call.rules };
    let ahead = ahead(&call, &resource_type, &form).await?;
    let stored = call.submit(command).await?;
    call.notes.created(stored.id.to_string());
    show(&call, &form, StatusCode::CREATED, &resource_type, stored, ahead)
}

pub(in crate::http) async fn retrieve(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let resource_type = call.resource_type()?;
    let form = call.form(&resource_type, &call.parameters()?)?;
    let wanted = |name: &str| form.wants(name);
    let work = |most_bytes| {
        let directory = &call.context.directory;
        // Versions of groups follow when memberships are cleared. This is looked at before the group is
        // read: clearing that ends in between has given the group another version.
        let may_be_known = call.parts.headers.contains_key(IF_NONE_MATCH)
            && !directory.is_clearing_memberships()?;
        let shown = directory.retrieve(&resource_type, &call.path.id, &wanted, most_bytes)?;
        // Access changes with grants and with the configuration, of which the tag knows nothing.
        let is_tagged = shown.access.is_none() && !form.shows_catalogue();
        if may_be_known && is_tagged && precondition::is_known(&call.parts.headers, shown.tag) {
            return Ok(representation::not_modified(shown.tag));
        }
        representation::one(StatusCode::OK, call.view(&form), &resource_type, shown)
    };
    let limits = &call.context.work_limits;
    if shows_members(&resource_type, &form) {
        limits.long(call.connection, work).await
    } else {
        limits.short(call.connection, || work(usize::MAX)).await
    }
}

pub(in crate::http) async fn replace(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let resource_type = call.resource_type()?;
    let form = call.form(&resource_type, &call.parameters()?)?;
    let renaming = call.manner.dialect_of(&resource_type).renaming();
    let command = Replace {
        rules: call.rules,
        resource: resource(
            &call,
            &resource_type,
            Exchange::Replace(renaming),
            json::parse_object(&call.body)?,
            Some(&call.path.id),
        )?,
        renaming,
        resource_type: Arc::clone(&resource_type),
        id: call.path.id.clone(),
        expected: precondition::if_match(&call.parts.headers),
    };
    let ahead = ahead(&call, &resource_type, &form).await?;
    let stored = call.submit(command).await?;
    show(&call, &form, StatusCode::OK, &resource_type, stored, ahead)
}

pub(in crate::http) async fn patch(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let resource_type = call.resource_type()?;
    let parameters = call.parameters()?;
    let form = call.form(&resource_type, &parameters)?;
    let body = json::parse_object(&call.body)?;
    let request = patch_request(&call, &resource_type, body, &call.path.id)?;
    let command = Patch {
        request,
        rules: call.rules,
        resource_type: Arc::clone(&resource_type),
        id: call.path.id.clone(),
        expected: precondition::if_match(&call.parts.headers),
    };
    let asked = query::asks_for_attributes(&parameters);
    if call.manner.patched(&resource_type) == PatchReply::Nothing && !asked {
        let stored = call.submit(command).await?;
        return Ok(representation::no_content(&stored));
    }
    let ahead = ahead(&call, &resource_type, &form).await?;
    let stored = call.submit(command).await?;
    show(&call, &form, StatusCode::OK, &resource_type, stored, ahead)
}

pub(in crate::http) async fn delete(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let command = Delete {
        resource_type: call.resource_type()?,
        id: call.path.id.clone(),
        expected: precondition::if_match(&call.parts.headers),
        rules: call.rules,
    };
    call.submit(command).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// Takes the bytes for an answer that may be long, ahead of the change that it shows.
async fn ahead(
    call: &Call<'_>,
    resource_type: &ResourceType,
    form: &ResourceForm,
) -> Result<Option<Turn>, Failure> {
    if !shows_members(resource_type, form) {
        return Ok(None);
    }
    call.context.work_limits.ahead(call.connection).await.map(Some)
}

/// Shows a resource after a change, in the form that the client wants. The change is made, so the
/// response waits for nothing, and nothing of the request is checked here.
fn show(
    call: &Call<'_>,
    form: &ResourceForm,
    status: StatusCode,
    resource_type: &ResourceType,
    stored: StoredResource,
    ahead: Option<Turn>,
) -> Result<HttpResponse, Failure> {
    let wanted = |name: &str| form.wants(name);
    let work = || {
        let shown = call.context.directory.with_relations(resource_type, stored, &wanted)?;
        representation::one(status, call.view(form), resource_type, shown)
    };
    let is_long = shows_members(resource_type, form);
    let answer = if is_long { tokio::task::block_in_place(work) } else { work() }?;
    Ok(call.context.work_limits.count(call.connection, ahead, answer))
}

/// Whether an answer may take long: it shows all members, and there may be very many.
fn shows_members(resource_type: &ResourceType, form: &ResourceForm) -> bool {
    resource_type.members().is_some_and(|members| form.wants(&members.name))
}

/// The resource that the body of a POST, or of a PUT to the resource `id`, means.
pub(super) fn resource(
    call: &Call<'_>,
    resource_type: &ResourceType,
    exchange: Exchange,
    body: Map<String, Value>,
    id: Option<&str>,
) -> Result<Resource, Failure> {
    let dialect = call.manner.dialect_of(resource_type);
    let catalogue = call.context.directory.catalogue();
    let read = dialect.read(catalogue, resource_type, exchange, body)?;
    let Validated { mut resource, unknown, id: named } = read;
    if let Some(id) = id {
        check_id(&named, id)?;
    }
    call.check_unknown(&unknown)?;
    call.default_access.assign(catalogue, resource_type, &mut resource);
    Ok(resource)
}

/// What the body of a PATCH to the resource `id` means.
pub(super) fn patch_request(
    call: &Call<'_>,
    resource_type: &ResourceType,
    body: Map<String, Value>,
    id: &str,
) -> Result<PatchRequest, Failure> {
    let dialect = call.manner.dialect_of(resource_type);
    let read = dialect.read_patch(call.context.directory.catalogue(), resource_type, body)?;
    check_id(&read.ids, id)?;
    call.check_unknown(&read.unknown)?;
    Ok(read)
}
