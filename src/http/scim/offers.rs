//! `/Roles` and `/Entitlements`: the read-only lists of what the configuration offers.
//!
//! There may be many entitlements, and they are requested seldom: each is built when it is looked at.

use std::collections::{HashMap, HashSet};

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{Call, search as search_request};
use crate::access::Offer;
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse};
use crate::http::work_limits::PAGE_BYTES;
use crate::scim::discovery::LIST_RESPONSE;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::query::{self, PageRequest, Parameters, Query, Start};
use crate::scim::schema::ResourceType;
use crate::text::excerpt;

/// `GET` of a list.
pub(in crate::http) async fn query(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |listing| listing.query(&call.parameters()?)).await
}

/// `POST` of a search.
pub(in crate::http) async fn search(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |listing| listing.query(&search_request::parameters(&call.body)?)).await
}

/// `GET` of one entry.
pub(in crate::http) async fn retrieve(call: Call<'_>) -> Result<HttpResponse, Failure> {
    answer(&call, |listing| listing.retrieve(&call.path.id, &call.parameters()?)).await
}

/// Runs work on the list that the path names. The runtime moves the other connections of this thread to
/// other threads meanwhile.
async fn answer<'a>(
    call: &'a Call<'a>,
    work: impl Fn(Listing<'a>) -> Result<HttpResponse, Failure>,
) -> Result<HttpResponse, Failure> {
    let offered = call.context.directory.registry().offered();
    let named = offered.iter().find(|offered| offered.endpoint == call.path.endpoint);
    let resource_type = named.ok_or_else(|| Failure::no_route(call.parts.uri.path()))?;
    let work = || tokio::task::block_in_place(|| work(Listing { call, resource_type }));
    call.context.work_limits.short(call.connection, work).await
}

/// One of the lists.
#[derive(Clone, Copy)]
struct Listing<'a> {
    call: &'a Call<'a>,
    resource_type: &'a ResourceType,
}

impl<'a> Listing<'a> {
    /// Every resource, in the order of the configuration.
    fn resources(self) -> impl Iterator<Item = Map<String, Value>> + 'a {
        let catalogue = self.call.context.directory.catalogue();
        Offer::of(self.resource_type, catalogue).map(move |offer| self.resource(offer))
    }

    fn resource(self, offer: Offer) -> Map<String, Value> {
        let (name, endpoint) = (&self.resource_type.name, &self.resource_type.endpoint);
        let segment =
            percent_encoding::utf8_percent_encode(&offer.id, percent_encoding::NON_ALPHANUMERIC);
        let location = format!("{}/{endpoint}/{segment}", self.call.context.base_url);
        let mut resource = Map::new();
        let urn = &self.resource_type.schema.id;
        let other = self.call.manner.offer_urns().instead_of(urn);
        let schemas: Vec<&str> = other.into_iter().chain([urn.as_str()]).collect();
        resource.insert("schemas".to_owned(), json!(schemas));
        resource.insert("id".to_owned(), Value::String(offer.id));
        resource.extend(offer.attributes);
        resource.insert("meta".to_owned(), json!({"resourceType": name, "location": location}));
        resource
    }

    fn retrieve(self, id: &str, parameters: &Parameters) -> Result<HttpResponse, Failure> {
        let is_meant =
            |resource: &Map<String, Value>| resource.get("id").and_then(Value::as_str) == Some(id);
        let found = self.resources().find(is_meant).ok_or_else(|| {
            Failure::NotFound(format!(
                "{} \"{}\" not found.",
                self.resource_type.name,
                excerpt(id, 200)
            ))
        })?;
        let projection = query::projection(self.resource_type, parameters)?;
        let shown = projection.apply(self.resource_type, found);
        Ok(respond::json_body(StatusCode::OK, Value::Object(shown).to_string()))
    }

    fn query(self, parameters: &Parameters) -> Result<HttpResponse, Failure> {
        let Query { filter, sort } = Query::parse(self.resource_type, parameters)?;
        let page = PageRequest::parse(parameters, self.call.context.page_limits)?;
        let projection = query::projection(self.resource_type, parameters)?;
        let start = match page.start {
            Start::Index(start) => start,
            Start::Cursor(cursor) if cursor.is_empty() => 1,
            Start::Cursor(_) => {
                return Err(ScimError::new(
                    ScimType::InvalidCursor,
                    format!(
                        "\"/{}\" does not support cursors; use startIndex.",
                        self.resource_type.endpoint
                    ),
                )
                .into());
            }
        };
        // The sort key of each match, and its index in the configuration.
        let mut found = Vec::new();
        for (index, resource) in self.resources().enumerate() {
            if filter.as_ref().is_none_or(|filter| filter.matches(&resource)) {
                found.push((sort.as_ref().map(|sort| sort.key(&resource)), index));
            }
        }
        found.sort();
        let total = found.len();
        let indexes: Vec<usize> =
            found.iter().skip(start - 1).take(page.count).map(|(_, index)| *index).collect();
        let wanted: HashSet<usize> = indexes.iter().copied().collect();
        let shown: HashMap<usize, String> = self
            .resources()
            .enumerate()
            .filter(|(index, _)| wanted.contains(index))
            .map(|(index, resource)| {
                let shown = projection.apply(self.resource_type, resource);
                (index, Value::Object(shown).to_string())
            })
            .collect();
        let (mut items, mut resources) = (0, String::new());
        for resource in indexes.iter().filter_map(|index| shown.get(index)) {
            if items > 0 {
                if resources.len() + resource.len() >= PAGE_BYTES {
                    break;
                }
                resources.push(',');
            }
            resources.push_str(resource);
            items += 1;
        }
        let body = format!(
            "{{\"schemas\":[\"{LIST_RESPONSE}\"],\"totalResults\":{total},\"startIndex\":{start},\
             \"itemsPerPage\":{items},\"Resources\":[{resources}]}}"
        );
        Ok(respond::json_body(StatusCode::OK, body))
    }
}
