//! Handlers: written once for all resource types.

mod bulk;
pub(super) mod discovery;
mod offers;
mod resources;
mod search;

use std::sync::Arc;

use bytes::Bytes;
use hyper::http::request::Parts;

use super::context::HttpContext;
use super::error::Failure;
use super::gate::Admitted;
use super::respond;
use super::respond::{Answer, View};
use super::router::{Action, Routed};
use crate::access::DefaultAccess;
use crate::config::Compat;
use crate::connection::dialect::Form;
use crate::connection::method::Manner;
use crate::directory::ConnectionRules;
use crate::event::Actor;
use crate::scim::error::ScimError;
use crate::scim::query::Parameters;
use crate::scim::schema::ResourceType;
use crate::text::excerpt;

/// A request that passed the gate and has a route.
pub(super) struct Call<'a> {
    context: &'a HttpContext,
    parts: &'a Parts,
    routed: &'a Routed,
    manner: Manner,
    compat: Compat,
    rules: ConnectionRules,
    default_access: Arc<DefaultAccess>,
    actor: Actor,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        context: &'a HttpContext,
        parts: &'a Parts,
        routed: &'a Routed,
        admitted: Admitted,
    ) -> Self {
        let (manner, compat, rules) = (admitted.manner, admitted.compat, admitted.rules);
        let default_access = Arc::clone(&admitted.default_access);
        let actor = admitted.into_actor();
        Self { context, parts, routed, manner, compat, rules, default_access, actor }
    }

    /// Deals with names that no schema knows, as the connection wants it.
    fn check_unknown(&self, unknown: &[String]) -> Result<(), Failure> {
        match (unknown.first(), self.compat) {
            (None, _) => Ok(()),
            (Some(_), Compat::Lenient) => {
                tracing::debug!(count = unknown.len(), "unknown attributes were left out");
                Ok(())
            }
            (Some(name), Compat::Strict) => Err(ScimError::invalid_syntax(format!(
                "No schema knows the attribute \"{}\".",
                excerpt(name, 200)
            ))
            .into()),
        }
    }

    /// In which form resources of a type are shown to this client.
    fn form(
        &self,
        resource_type: &ResourceType,
        parameters: &Parameters,
    ) -> Result<Form, ScimError> {
        self.manner.dialect_of(resource_type).form(resource_type, parameters)
    }

    fn view<'v>(&'v self, form: &'v Form) -> View<'v> {
        let catalogue = self.context.directory.catalogue();
        View { base_url: &self.context.base_url, catalogue, form }
    }

    /// The query parameters, decoded; `+` is a space.
    fn parameters(&self) -> Parameters {
        let query = self.parts.uri.query().unwrap_or_default();
        Parameters::new(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The resource type that the path names.
    fn resource_type(&self) -> Result<Arc<ResourceType>, Failure> {
        let known = self.context.directory.registry().by_endpoint(&self.routed.endpoint);
        known.map(Arc::clone).ok_or_else(|| Failure::no_route(self.parts.uri.path()))
    }
}

/// Does what the route says.
pub(super) async fn handle(call: Call<'_>, action: Action, body: Bytes) -> Result<Answer, Failure> {
    if let Some(answer) = offers::answer(&call, action, &body) {
        return answer;
    }
    match action {
        Action::Health | Action::Ready => Ok(respond::empty(hyper::StatusCode::OK)),
        Action::ServiceProviderConfig
        | Action::ResourceTypes
        | Action::ResourceType
        | Action::Schemas
        | Action::Schema => {
            call.context.discovery.answer(action, &call.routed.id, &call.parameters())
        }
        Action::Create => resources::create(call, body).await,
        Action::Query => {
            let parameters = call.parameters();
            search::one_type(call, parameters).await
        }
        Action::Search => search::one_type(call, search::parameters(&body)?).await,
        Action::QueryAll => {
            let parameters = call.parameters();
            search::all_types(call, parameters).await
        }
        Action::SearchAll => search::all_types(call, search::parameters(&body)?).await,
        Action::Bulk => bulk::bulk(call, &body).await,
        Action::Me => Err(Failure::NotImplemented(
            "A token speaks for a connection, not for a user, so there is no /Me.".to_owned(),
        )),
        Action::Retrieve => resources::retrieve(&call).await,
        Action::Replace => resources::replace(call, body).await,
        Action::Patch => resources::patch(call, body).await,
        Action::Delete => resources::delete(call).await,
    }
}
