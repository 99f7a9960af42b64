//! `/Roles` and `/Entitlements`: what the configuration has on offer, made once at start.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{Call, search};
use crate::access::{Catalogue, Offer};
use crate::http::error::Failure;
use crate::http::respond::{self, Answer};
use crate::http::router::Action;
use crate::scim::discovery::LIST_RESPONSE;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::query::{self, PageRequest, Parameters, Query, Start};
use crate::scim::schema::{Registry, ResourceType};

/// The methods that these endpoints have.
const ALLOWED: &str = "GET, HEAD";

/// Every entry of these endpoints.
pub(in crate::http) struct Offers {
    listings: Vec<Listing>,
}

struct Listing {
    resource_type: Arc<ResourceType>,
    resources: Vec<Map<String, Value>>,
}

impl Offers {
    pub(in crate::http) fn new(base: &str, registry: &Registry, catalogue: &Catalogue) -> Self {
        let offers = [Offer::roles(catalogue), Offer::entitlements(catalogue)];
        let listings = registry.offered().iter().zip(offers).map(|(resource_type, offers)| {
            let resources = offers.into_iter().map(|offer| resource(base, resource_type, offer));
            Listing { resource_type: Arc::clone(resource_type), resources: resources.collect() }
        });
        Self { listings: listings.collect() }
    }

    fn at(&self, endpoint: &str) -> Option<&Listing> {
        self.listings.iter().find(|listing| listing.resource_type.endpoint == endpoint)
    }
}

fn resource(base: &str, resource_type: &ResourceType, offer: Offer) -> Map<String, Value> {
    let (name, endpoint) = (&resource_type.name, &resource_type.endpoint);
    let segment =
        percent_encoding::utf8_percent_encode(&offer.id, percent_encoding::NON_ALPHANUMERIC);
    let location = format!("{base}/{endpoint}/{segment}");
    let mut resource = Map::new();
    resource.insert("schemas".to_owned(), json!([resource_type.schema.id]));
    resource.insert("id".to_owned(), Value::String(offer.id));
    resource.extend(offer.attributes);
    resource.insert("meta".to_owned(), json!({"resourceType": name, "location": location}));
    resource
}

/// Answers a request to one of these endpoints; `None` if it is to another.
pub(super) fn answer(
    call: &Call<'_>,
    action: Action,
    body: &Bytes,
) -> Option<Result<Answer, Failure>> {
    let listing = call.door.offers.at(&call.routed.endpoint)?;
    Some(match action {
        Action::Retrieve => listing.retrieve(&call.routed.id, &call.parameters()),
        Action::Query => listing.query(&call.parameters(), call),
        Action::Search => {
            search::parameters(body).and_then(|parameters| listing.query(&parameters, call))
        }
        _ => Err(Failure::MethodNotAllowed(ALLOWED.to_owned())),
    })
}

impl Listing {
    fn retrieve(&self, id: &str, parameters: &Parameters) -> Result<Answer, Failure> {
        let is_meant =
            |resource: &&Map<String, Value>| resource.get("id").and_then(Value::as_str) == Some(id);
        let found = self.resources.iter().find(is_meant).ok_or_else(|| {
            Failure::NotFound(format!(
                "There is no {} with the id \"{}\".",
                self.resource_type.name,
                id.chars().take(200).collect::<String>().escape_debug()
            ))
        })?;
        let projection = query::projection(&self.resource_type, parameters)?;
        let shown = projection.apply(&self.resource_type, found.clone());
        Ok(respond::json_body(StatusCode::OK, Value::Object(shown).to_string()))
    }

    fn query(&self, parameters: &Parameters, call: &Call<'_>) -> Result<Answer, Failure> {
        let resource_type = &self.resource_type;
        let Query { filter, sort } = Query::parse(resource_type, parameters)?;
        let page = PageRequest::parse(parameters, call.door.page_limits)?;
        let projection = query::projection(resource_type, parameters)?;
        let start = match page.start {
            Start::Index(start) => start,
            Start::Cursor(cursor) if cursor.is_empty() => 1,
            Start::Cursor(_) => {
                return Err(ScimError::new(
                    ScimType::InvalidCursor,
                    format!(
                        "\"/{}\" gives out no cursors; use startIndex.",
                        resource_type.endpoint
                    ),
                )
                .into());
            }
        };
        let matching = |resource: &&Map<String, Value>| {
            filter.as_ref().is_none_or(|filter| filter.matches(resource))
        };
        let mut found: Vec<&Map<String, Value>> = self.resources.iter().filter(matching).collect();
        if let Some(sort) = &sort {
            found.sort_by_cached_key(|resource| sort.key(resource));
        }
        let shown: Vec<Value> = found
            .iter()
            .skip(start - 1)
            .take(page.count)
            .map(|resource| projection.apply(resource_type, (*resource).clone()).into())
            .collect();
        let body = json!({
            "schemas": [LIST_RESPONSE],
            "totalResults": found.len(),
            "startIndex": start,
            "itemsPerPage": shown.len(),
            "Resources": shown,
        });
        Ok(respond::json_body(StatusCode::OK, body.to_string()))
    }
}
