//! The request as handlers receive it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::http::request::Parts;

use super::representation::ClientView;
use crate::access::DefaultAccess;
use crate::connection::Compat;
use crate::connection::dialect::ResourceForm;
use crate::connection::method::ClientProfile;
use crate::directory::{Command, ConnectionRules, DirectoryError};
use crate::event::Actor;
use crate::http::context::HttpContext;
use crate::http::error::Failure;
use crate::http::gate::Admitted;
use crate::http::path_parameters::PathParameters;
use crate::http::request_metrics::CallerMetrics;
use crate::http::request_notes::Notes;
use crate::scim::error::ScimError;
use crate::scim::query::Parameters;
use crate::scim::schema::ResourceType;
use crate::text::excerpt;

/// A request that the gate has admitted, with the parameters of its path and its body.
pub(in crate::http) struct Call<'a> {
    pub(super) context: &'a HttpContext,
    pub(super) parts: &'a Parts,
    pub(super) path: &'a PathParameters,
    /// Empty for routes that take none.
    pub(super) body: Bytes,
    pub(super) manner: ClientProfile,
    /// The number of the caller, whose turns it takes.
    pub(super) connection: usize,
    compat: Compat,
    pub(super) rules: ConnectionRules,
    pub(super) default_access: Arc<DefaultAccess>,
    /// The actor of changes; `None` for a caller that makes none.
    actor: Option<Actor>,
    /// Where its operations are counted, and the limit of a day.
    quota: Option<(Arc<CallerMetrics>, u32)>,
    /// What the request log learns.
    pub(super) notes: &'a Notes,
}

impl<'a> Call<'a> {
    pub(in crate::http) fn new(
        context: &'a HttpContext,
        parts: &'a Parts,
        path: &'a PathParameters,
        body: Bytes,
        admitted: Admitted,
        notes: &'a Notes,
    ) -> Self {
        let (manner, compat, rules) = (admitted.manner, admitted.compat, admitted.rules);
        let connection = admitted.requests.number;
        let (default_access, quota) = (Arc::clone(&admitted.default_access), admitted.quota());
        let actor = admitted.into_actor();
        Self {
            context,
            parts,
            path,
            body,
            manner,
            connection,
            compat,
            rules,
            default_access,
            actor,
            quota,
            notes,
        }
    }

    /// Counts the operations of a bulk request against the daily quota of the connection.
    ///
    /// # Errors
    ///
    /// [`Failure::QuotaExceeded`].
    pub(super) fn count_operations(&self, operations: usize) -> Result<(), Failure> {
        let Some((requests, limit)) = &self.quota else { return Ok(()) };
        let now = self.context.directory.now();
        requests.of_day.count_operations(operations, *limit, now).map_err(Failure::QuotaExceeded)
    }

    /// Whether its connection has OAuth clients, or trusts an issuer.
    pub(super) fn has_oauth(&self) -> bool {
        let Some(Actor::Connection { name, .. }) = &self.actor else { return false };
        self.context.trusts.has(name) || !self.context.directory.valid_clients(name).is_empty()
    }

    /// Has the directory carry out a command on behalf of the client.
    pub(super) async fn submit<C: Command>(&self, command: C) -> Result<C::Output, DirectoryError> {
        // The gate lets only callers that may write get here.
        let actor = self.actor.clone().ok_or(DirectoryError::Unauthenticated)?;
        let bytes = self.body.len();
        let mut pending =
            self.context.directory.submit_request(actor, (self.notes.request(), bytes), command);
        let outcome = (&mut pending).await;
        if let Some(sequences) = pending.changes() {
            self.notes.changes(sequences);
        }
        outcome
    }

    /// Refuses or ignores attributes that no schema knows, as the connection is configured.
    pub(super) fn check_unknown(&self, unknown: &[String]) -> Result<(), Failure> {
        match (unknown.first(), self.compat) {
            (None, _) => Ok(()),
            (Some(_), Compat::Lenient) => {
                tracing::debug!(count = unknown.len(), "unknown attributes ignored");
                self.notes.ignored(unknown);
                Ok(())
            }
            (Some(name), Compat::Strict) => Err(ScimError::invalid_syntax(format!(
                "Unknown attribute \"{}\".",
                excerpt(name, 200)
            ))
            .into()),
        }
    }

    /// The form in which this client is shown resources of a type.
    pub(super) fn form(
        &self,
        resource_type: &ResourceType,
        parameters: &Parameters,
    ) -> Result<ResourceForm, ScimError> {
        self.manner.dialect_of(resource_type).form(resource_type, parameters)
    }

    /// How this client is shown resources in a form.
    pub(super) fn view<'v>(&'v self, form: &'v ResourceForm) -> ClientView<'v> {
        let catalogue = self.context.directory.catalogue();
        ClientView { base_url: &self.context.base_url, catalogue, form }
    }

    /// The query parameters, decoded; `+` is a space.
    pub(super) fn parameters(&self) -> Result<Parameters, ScimError> {
        let query = self.parts.uri.query().unwrap_or_default();
        Parameters::new(form_urlencoded::parse(query.as_bytes()).into_owned())
    }

    /// The resource type that the path names.
    pub(super) fn resource_type(&self) -> Result<Arc<ResourceType>, Failure> {
        let known = self.context.directory.registry().by_endpoint(&self.path.endpoint);
        known.map(Arc::clone).ok_or_else(|| Failure::no_route(self.parts.uri.path()))
    }
}
