//! The roles and entitlements of the catalogue as read-only resources.

use serde_json::{Map, Value, json};

use super::catalogue::Catalogue;
use super::entitlement::Entitlement;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::offer;

/// One role or entitlement, without `meta`.
pub struct Offer {
    /// The id, which is also accepted as the value.
    pub id: String,
    /// The attributes.
    pub attributes: Map<String, Value>,
}

impl Offer {
    /// Returns all entries of a resource type, in the order of the configuration.
    pub fn of<'a>(
        resource_type: &ResourceType,
        catalogue: &'a Catalogue,
    ) -> Box<dyn Iterator<Item = Self> + 'a> {
        match resource_type.schema.id.as_str() {
            offer::ROLE => Box::new(Self::roles(catalogue)),
            offer::ENTITLEMENT => Box::new(Self::entitlements(catalogue)),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn roles(catalogue: &Catalogue) -> impl Iterator<Item = Self> {
        let roles = catalogue.roles.iter();
        roles.map(|role| Self::new(role.id.clone(), &role.name, &role.name, "role"))
    }

    fn entitlements(catalogue: &Catalogue) -> impl Iterator<Item = Self> {
        Entitlement::all(catalogue).map(|entitlement| {
            let value = entitlement.to_string();
            Self::new(value.clone(), &value, &entitlement.in_words(), entitlement.kind())
        })
    }

    fn new(id: String, value: &str, display: &str, kind: &str) -> Self {
        let attributes = json!({
            "value": value,
            "display": display,
            "displayName": display,
            "type": kind,
            "supported": true,
        });
        let attributes = attributes.as_object().cloned().unwrap_or_default();
        Self { id, attributes }
    }
}
