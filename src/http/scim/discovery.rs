//! What the service provider says of itself, written once at start (RFC 7644, section 4).

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;

use crate::http::error::Failure;
use crate::http::respond::{self, Answer};
use crate::http::router::Action;
use crate::scim::discovery;
use crate::scim::query::{PageLimits, Parameters};
use crate::scim::schema::Registry;
use crate::text::excerpt;

/// Every answer of the discovery endpoints.
pub(in crate::http) struct Discovery {
    service_provider_config: Bytes,
    resource_types: Listing,
    schemas: Listing,
}

struct Listing {
    all: Bytes,
    by_id: Vec<(String, Bytes)>,
}

impl Listing {
    fn new(entries: &[Value]) -> Self {
        let id =
            |entry: &Value| entry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            all: discovery::list_response(entries).to_string().into(),
            by_id: entries.iter().map(|entry| (id(entry), entry.to_string().into())).collect(),
        }
    }

    fn get(&self, id: &str) -> Option<Bytes> {
        let found = self.by_id.iter().find(|(known, _)| known.eq_ignore_ascii_case(id));
        found.map(|(_, entry)| entry.clone())
    }
}

impl Discovery {
    pub(in crate::http) fn new(base: &str, limits: PageLimits, registry: &Registry) -> Self {
        let resource_types: Vec<Value> = registry
            .resource_types()
            .iter()
            .chain(registry.offered())
            .map(|resource_type| discovery::resource_type(base, resource_type))
            .collect();
        let schemas: Vec<Value> = discovery::schemas(registry)
            .into_iter()
            .map(|schema| discovery::schema(base, schema))
            .collect();
        Self {
            service_provider_config: discovery::service_provider_config(base, limits)
                .to_string()
                .into(),
            resource_types: Listing::new(&resource_types),
            schemas: Listing::new(&schemas),
        }
    }

    /// Answers one of the discovery routes. They are not searched: a filter is refused.
    pub(super) fn answer(
        &self,
        action: Action,
        id: &str,
        parameters: &Parameters,
    ) -> Result<Answer, Failure> {
        if parameters.get("filter").is_some() {
            return Err(Failure::Forbidden(
                "Discovery endpoints can't be filtered; ask without a filter.".to_owned(),
            ));
        }
        let body = match action {
            Action::ServiceProviderConfig => Some(self.service_provider_config.clone()),
            Action::ResourceTypes => Some(self.resource_types.all.clone()),
            Action::ResourceType => self.resource_types.get(id),
            Action::Schemas => Some(self.schemas.all.clone()),
            Action::Schema => self.schemas.get(id),
            Action::Health
            | Action::Ready
            | Action::Create
            | Action::Query
            | Action::Retrieve
            | Action::Replace
            | Action::Patch
            | Action::Search
            | Action::QueryAll
            | Action::SearchAll
            | Action::Bulk
            | Action::Me
            | Action::Delete => None,
        };
        match body {
            Some(body) => Ok(respond::json_body(StatusCode::OK, body)),
            None => {
                Err(Failure::NotFound(format!("There is no such entry: \"{}\".", excerpt(id, 200))))
            }
        }
    }
}
