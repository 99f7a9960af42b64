//! The discovery endpoints (RFC 7644, section 4).

use bytes::Bytes;
use hyper::StatusCode;

use super::Call;
use crate::http::discovery_documents::DiscoveryDocuments;
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse};
use crate::text::excerpt;

/// `GET /ServiceProviderConfig`.
pub(in crate::http) async fn service_provider_config(
    call: Call<'_>,
) -> Result<HttpResponse, Failure> {
    let has_oauth = call.has_oauth();
    answer(&call, |documents, _| Some(documents.service_provider_config(has_oauth)))
}

/// `GET /ResourceTypes`.
pub(in crate::http) async fn resource_types(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let urns = call.manner.offer_urns();
    answer(&call, |documents, _| Some(documents.announced(urns).resource_types.all.clone()))
}

/// `GET /ResourceTypes/{id}`.
pub(in crate::http) async fn resource_type(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let urns = call.manner.offer_urns();
    answer(&call, |documents, id| documents.announced(urns).resource_types.get(id))
}

/// `GET /Schemas`.
pub(in crate::http) async fn schemas(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let urns = call.manner.offer_urns();
    answer(&call, |documents, _| Some(documents.announced(urns).schemas.all.clone()))
}

/// `GET /Schemas/{id}`.
pub(in crate::http) async fn schema(call: Call<'_>) -> Result<HttpResponse, Failure> {
    let urns = call.manner.offer_urns();
    answer(&call, |documents, id| documents.announced(urns).schemas.get(id))
}

/// The response with the body that `find` selects. Discovery can't be filtered (RFC 7644, section 4).
fn answer(
    call: &Call<'_>,
    find: impl FnOnce(&DiscoveryDocuments, &str) -> Option<Bytes>,
) -> Result<HttpResponse, Failure> {
    if call.parameters()?.get("filter").is_some() {
        return Err(Failure::Forbidden(
            "Discovery endpoints can't be filtered; remove the filter.".to_owned(),
        ));
    }
    let id = &call.path.id;
    match find(&call.context.discovery_documents, id) {
        Some(body) => Ok(respond::json_body(StatusCode::OK, body)),
        None => Err(Failure::NotFound(format!("\"{}\" not found.", excerpt(id, 200)))),
    }
}
