//! Resource types and resources for the targets to work on.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use crate::scim::exchange::Exchange;
use crate::scim::json::parse_object;
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::registry::Registry;
use crate::scim::schema::ResourceType;
use crate::scim::validate::validate;

/// A schema with every type and characteristic that the built-in ones lack.
fn schema() -> Value {
    json!({"id": "urn:x:User", "name": "urn:x:User", "attributes": [
        {"name": "badge", "mutability": "immutable", "case_exact": true},
        {"name": "pin", "mutability": "writeOnly", "returned": "never"},
        {"name": "note", "returned": "request"},
        {"name": "seat", "returned": "always"},
        {"name": "weight", "type": "decimal"},
        {"name": "floors", "type": "integer", "multi_valued": true},
        {"name": "since", "type": "dateTime"},
        {"name": "key", "type": "binary", "multi_valued": true},
        {"name": "cards", "type": "complex", "multi_valued": true, "sub_attributes": [
            {"name": "value", "required": true, "mutability": "immutable"},
            {"name": "limit", "type": "decimal"},
            {"name": "until", "type": "dateTime"},
            {"name": "primary", "type": "boolean"},
        ]},
    ]})
}

/// A resource type with some of its resources.
pub struct Kind {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// Resources, from bare to full.
    pub samples: Vec<Sample>,
}

/// A resource in two forms.
pub struct Sample {
    /// As it is kept.
    pub resource: Resource,
    /// As it is served.
    pub served: Map<String, Value>,
}

/// The resource types.
pub fn world() -> &'static [Kind] {
    static WORLD: OnceLock<Vec<Kind>> = OnceLock::new();
    WORLD.get_or_init(|| {
        let schema = serde_json::from_value(schema()).expect("a schema's settings");
        let registry = Registry::with(&[schema]).expect("a schema");
        let mut kinds: Vec<Kind> = Vec::new();
        for (name, bodies) in [("Users", users()), ("Groups", groups())] {
            let resource_type = Arc::clone(registry.by_endpoint(name).expect("a type"));
            let samples = bodies.into_iter().map(|body| sample(&resource_type, body)).collect();
            kinds.push(Kind { resource_type, samples });
        }
        kinds
    })
}

fn users() -> Vec<Value> {
    vec![
        json!({"userName": "u"}),
        json!({
            "userName": "B\u{c9}a@Example.com", "externalId": "X7", "active": true, "title": "t",
            "name": {"givenName": "G", "familyName": "Stra\u{df}e"},
            "emails": [{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "home"}],
            "roles": [{"value": "1", "display": "R"}, {"value": "2", "type": "x", "primary": false}],
            "addresses": [{"type": "work", "locality": "L"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
                {"department": "BI", "manager": {"value": "m1", "$ref": "https://x/m1"}},
            "urn:x:User": {"badge": "B1", "note": "n", "seat": "s", "weight": 1.5, "floors": [1, -2],
                "since": "2026-03-01T08:15:00+01:00", "key": ["AAEC"],
                "cards": [{"value": "c", "limit": 10, "primary": true}, {"value": "d", "until": "2026-03-01T08:15:00Z"}]},
        }),
    ]
}

fn groups() -> Vec<Value> {
    let id = ResourceId::from_bytes([1; 16]).to_string();
    vec![json!({"displayName": "g"}), json!({"displayName": "g", "members": [{"value": id}]})]
}

fn sample(resource_type: &ResourceType, body: Value) -> Sample {
    let body = parse_object(body.to_string().as_bytes()).expect("an object");
    let mut resource = validate(resource_type, Exchange::Create, body).expect("valid").resource;
    resource.complete(resource_type, None);
    let served = served(resource_type, &resource);
    Sample { resource, served }
}

/// A resource as it is stored and served, having checked that it reads back.
pub fn served(resource_type: &ResourceType, resource: &Resource) -> Map<String, Value> {
    let moment = "2026-03-01T08:15:00Z".parse().expect("a moment");
    let meta = Meta { created: moment, last_modified: moment, version: Version(3) };
    let rendered = resource.render(resource_type, ResourceId::from_bytes([9; 16]), &meta);
    let stored = Resource::from_stored(&rendered.json).expect("what was rendered");
    assert_eq!(&stored, resource, "what is rendered reads back");
    let read = Meta::from_stored(&rendered.json, rendered.meta_at, meta.version);
    assert_eq!(read, Some(meta), "what is known of it reads back");
    parse_object(&rendered.json).expect("what is served is within the limits of what is read")
}
