//! Handlers: written once for all resource types.

pub(super) mod discovery;
mod resources;

use std::sync::Arc;

use bytes::Bytes;
use hyper::http::request::Parts;

use super::error::Failure;
use super::respond::Answer;
use super::router::{Action, Routed};
use super::{Door, respond};
use crate::directory::Stored;
use crate::event::Actor;
use crate::scim::schema::ResourceType;

/// A request that passed the gate and has a route.
pub(super) struct Call<'a> {
    door: &'a Door,
    parts: &'a Parts,
    routed: &'a Routed,
    actor: Actor,
}

impl<'a> Call<'a> {
    pub(super) fn new(door: &'a Door, parts: &'a Parts, routed: &'a Routed, actor: Actor) -> Self {
        Self { door, parts, routed, actor }
    }

    /// The query parameters, decoded; `+` is a space.
    fn parameters(&self) -> Vec<(String, String)> {
        let query = self.parts.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The resource type that the path names.
    fn resource_type(&self) -> Result<Arc<ResourceType>, Failure> {
        let known = self.door.directory.registry().by_endpoint(&self.routed.endpoint);
        known.map(Arc::clone).ok_or_else(|| Failure::no_route(self.parts.uri.path()))
    }

    fn location(&self, resource_type: &ResourceType, stored: &Stored) -> String {
        format!("{}/{}/{}", self.door.base_url, resource_type.endpoint, stored.id)
    }
}

/// Does what the route says.
pub(super) async fn handle(call: Call<'_>, action: Action, body: Bytes) -> Result<Answer, Failure> {
    match action {
        Action::Health => Ok(respond::empty(hyper::StatusCode::OK)),
        Action::ServiceProviderConfig
        | Action::ResourceTypes
        | Action::ResourceType
        | Action::Schemas
        | Action::Schema => call.door.discovery.answer(action, &call.routed.id, &call.parameters()),
        Action::Create => resources::create(call, body).await,
        Action::Query => resources::query(call).await,
        Action::Retrieve => resources::retrieve(&call),
        Action::Replace => resources::replace(call, body).await,
        Action::Delete => resources::delete(call).await,
    }
}
