//! The discovery documents of the service provider (RFC 7644, section 4; RFC 7643, sections 5 to
//! 7).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::attribute::{Attribute, Type};
use super::bulk;
use super::query::PageLimits;
use super::registry::Registry;
use super::schema::{ResourceType, Schema};
use super::schemas::discovery::{self, RESOURCE_TYPE, SCHEMA, SERVICE_PROVIDER_CONFIG};
use super::schemas::offer;

/// The URN of list responses.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The URN of errors.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Returns the service provider's configuration, with the features that it supports.
///
/// `base` is the URL below which SCIM is served; `oauth` says whether there are OAuth clients.
pub fn service_provider_config(base: &str, limits: PageLimits, oauth: bool) -> Value {
    let mut schemes = vec![json!({
        "type": "oauthbearertoken",
        "name": "Bearer token",
        "description": "A token created by `scimd token generate`, in the Authorization header",
        "specUri": "https://www.rfc-editor.org/info/rfc6750",
        "primary": true,
    })];
    if oauth {
        schemes.push(json!({
            "type": "oauth2",
            "name": "OAuth 2.0 client credentials",
            "description": "An access token from the token endpoint, in the Authorization header",
            "specUri": "https://www.rfc-editor.org/info/rfc6749",
            "primary": false,
        }));
    }
    json!({
        "schemas": [SERVICE_PROVIDER_CONFIG],
        "patch": {"supported": true},
        "bulk": {
            "supported": true,
            "maxOperations": bulk::MAX_OPERATIONS,
            "maxPayloadSize": limits.max_body_bytes,
        },
        "filter": {"supported": true, "maxResults": limits.max_count},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": limits.default_count,
            "maxPageSize": limits.max_count,
        },
        "authenticationSchemes": schemes,
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// The URNs under which roles and entitlements are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferUrns {
    /// Those of draft-ietf-scim-roles-entitlements.
    Draft,
    /// Okta's; `/Schemas` has those of the draft as well.
    Okta,
}

impl OfferUrns {
    /// The URN that stands for one of the draft, if it is another.
    pub fn instead_of(self, urn: &str) -> Option<&'static str> {
        match self {
            Self::Draft => None,
            Self::Okta => offer::okta_urn(urn),
        }
    }
}

/// Returns one entry of `/ResourceTypes`.
pub fn resource_type(base: &str, resource_type: &ResourceType, urns: OfferUrns) -> Value {
    let extensions: Vec<Value> = resource_type
        .extensions
        .iter()
        .map(|extension| json!({"schema": extension.schema.id, "required": extension.required}))
        .collect();
    json!({
        "schemas": [RESOURCE_TYPE],
        "id": resource_type.name,
        "name": resource_type.name,
        "endpoint": format!("/{}", resource_type.endpoint),
        "description": resource_type.description,
        "schema": urns.instead_of(&resource_type.schema.id).unwrap_or(&resource_type.schema.id),
        "schemaExtensions": extensions,
        "meta": {
            "resourceType": "ResourceType",
            "location": format!("{base}/ResourceTypes/{}", resource_type.name),
        },
    })
}

/// Returns every entry of `/Schemas`: the schemas of all resource types without duplicates, and those
/// of the discovery documents.
pub fn schemas(base: &str, registry: &Registry, urns: OfferUrns) -> Vec<Value> {
    let own = discovery::all();
    let mut schemas: Vec<&Schema> = Vec::new();
    for resource_type in registry.resource_types().iter().chain(registry.offered()) {
        let extensions = resource_type.extensions.iter().map(|extension| &extension.schema);
        schemas.extend(std::iter::once(&resource_type.schema).chain(extensions));
    }
    schemas.extend(&own);
    let mut known = HashSet::new();
    schemas.retain(|schema| known.insert(schema.id.as_str()));
    let with_another_urn = schemas.iter().filter_map(|one| Some((*one, urns.instead_of(&one.id)?)));
    let more = with_another_urn.map(|(one, urn)| schema(base, urn, one)).collect::<Vec<_>>();
    schemas.into_iter().map(|one| schema(base, &one.id, one)).chain(more).collect()
}

fn schema(base: &str, urn: &str, schema: &Schema) -> Value {
    json!({
        "schemas": [SCHEMA],
        "id": urn,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{urn}")},
    })
}

fn attribute(attribute: &Attribute) -> Value {
    let mut described = json!({
        "name": attribute.name,
        "type": attribute.kind.as_str(),
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "caseExact": attribute.case_exact,
        "mutability": attribute.mutability.as_str(),
        "returned": attribute.returned.as_str(),
        "uniqueness": attribute.uniqueness.as_str(),
    });
    let mut add = |name: &str, value: Value| {
        if let Some(object) = described.as_object_mut() {
            object.insert(name.to_owned(), value);
        }
    };
    if !attribute.canonical_values.is_empty() {
        add("canonicalValues", json!(attribute.canonical_values));
    }
    if attribute.kind == Type::Reference {
        add("referenceTypes", json!(attribute.reference_types));
    }
    if attribute.kind == Type::Complex {
        let parts: Vec<Value> = attribute.sub_attributes.iter().map(self::attribute).collect();
        add("subAttributes", Value::Array(parts));
    }
    described
}

/// Returns a list response with whole resources (RFC 7644, section 3.4.2).
pub fn list_response(resources: &[Value]) -> Value {
    json!({
        "schemas": [LIST_RESPONSE],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}
