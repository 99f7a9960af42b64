//! The discovery endpoints, whose responses are written once for a configuration (RFC 7644, section 4).

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;

use super::Call;
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse};
use crate::scim::discovery;
use crate::scim::query::PageLimits;
use crate::scim::registry::Registry;
use crate::text::excerpt;

/// The bodies of all responses of the discovery endpoints.
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
}

/// `GET /ServiceProviderConfig`.
pub(in crate::http) async fn service_provider_config(
    call: Call<'_>,
) -> Result<HttpResponse, Failure> {
    answer(&call, |discovery, _| Some(discovery.service_provider_config.clone()))
}

/// `GET /ResourceTypes`.
pub(in crate::http) async fn resource_types(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |discovery, _| Some(discovery.resource_types.all.clone()))
}

/// `GET /ResourceTypes/{id}`.
pub(in crate::http) async fn resource_type(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |discovery, id| discovery.resource_types.get(id))
}

/// `GET /Schemas`.
pub(in crate::http) async fn schemas(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |discovery, _| Some(discovery.schemas.all.clone()))
}

/// `GET /Schemas/{id}`.
pub(in crate::http) async fn schema(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |discovery, id| discovery.schemas.get(id))
}

/// The response with the body that `find` selects. Discovery can't be filtered (RFC 7644, section 4).
fn answer(
    call: &Call<'_>,
    find: impl FnOnce(&Discovery, &str) -> Option<Bytes>,
) -> Result<HttpResponse, Failure> {
    if call.parameters().get("filter").is_some() {
        return Err(Failure::Forbidden(
            "Discovery endpoints can't be filtered; ask without a filter.".to_owned(),
        ));
    }
    let id = &call.found.id;
    match find(&call.context.discovery, id) {
        Some(body) => Ok(respond::json_body(StatusCode::OK, body)),
        None => {
            Err(Failure::NotFound(format!("There is no such entry: \"{}\".", excerpt(id, 200))))
        }
    }
}
