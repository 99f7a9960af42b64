//! POST, GET, PUT and DELETE for any resource type (RFC 7644, sections 3.3 to 3.6).

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;

use super::Call;
use crate::directory::{Create, Delete, Replace};
use crate::http::error::Failure;
use crate::http::precondition;
use crate::http::respond::{self, Answer};
use crate::scim::exchange::Exchange;
use crate::scim::json;
use crate::scim::query::Query;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::validate::validate;

pub(super) async fn create(call: Call<'_>, body: Bytes) -> Result<Answer, Failure> {
    let resource_type = call.resource_type()?;
    let resource = resource(&resource_type, Exchange::Create, &body)?;
    let command = Create { resource_type: Arc::clone(&resource_type), resource };
    let stored = call.door.directory.submit(call.actor.clone(), command).await?;
    Ok(respond::one(StatusCode::CREATED, &stored, &call.location(&resource_type, &stored)))
}

pub(super) async fn query(call: Call<'_>) -> Result<Answer, Failure> {
    let resource_type = call.resource_type()?;
    let query = Query::from_parameters(&resource_type, call.door.page_limits, &call.parameters())?;
    let page = if query.filter.is_some() {
        call.door.directory.query(&resource_type, &query)?
    } else {
        // Walking over many records is work for a thread that may block.
        let (directory, of_type) = (Arc::clone(&call.door.directory), Arc::clone(&resource_type));
        tokio::task::spawn_blocking(move || directory.query(&of_type, &query))
            .await
            .map_err(|_| Failure::Internal)??
    };
    Ok(respond::page(&page, |stored| call.location(&resource_type, stored)))
}

pub(super) fn retrieve(call: &Call<'_>) -> Result<Answer, Failure> {
    let resource_type = call.resource_type()?;
    let stored = call.door.directory.retrieve(&resource_type, &call.routed.id)?;
    if precondition::is_known(&call.parts.headers, stored.record.version) {
        return Ok(respond::not_modified(&stored));
    }
    Ok(respond::one(StatusCode::OK, &stored, &call.location(&resource_type, &stored)))
}

pub(super) async fn replace(call: Call<'_>, body: Bytes) -> Result<Answer, Failure> {
    let resource_type = call.resource_type()?;
    let command = Replace {
        resource: resource(&resource_type, Exchange::Replace, &body)?,
        resource_type: Arc::clone(&resource_type),
        id: call.routed.id.clone(),
        expected: precondition::if_match(&call.parts.headers),
    };
    let stored = call.door.directory.submit(call.actor.clone(), command).await?;
    Ok(respond::one(StatusCode::OK, &stored, &call.location(&resource_type, &stored)))
}

pub(super) async fn delete(call: Call<'_>) -> Result<Answer, Failure> {
    let command = Delete {
        resource_type: call.resource_type()?,
        id: call.routed.id.clone(),
        expected: precondition::if_match(&call.parts.headers),
    };
    call.door.directory.submit(call.actor.clone(), command).await?;
    Ok(respond::empty(StatusCode::NO_CONTENT))
}

/// What a body means; names that no schema knows are left out.
fn resource(
    resource_type: &ResourceType,
    exchange: Exchange,
    body: &[u8],
) -> Result<Resource, Failure> {
    let validated = validate(resource_type, exchange, json::parse_object(body)?)?;
    if !validated.unknown.is_empty() {
        tracing::debug!(count = validated.unknown.len(), "unknown attributes were left out");
    }
    Ok(validated.resource)
}
