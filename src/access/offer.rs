//! What the catalogue has on offer, as resources.

use serde_json::{Map, Value, json};

use super::catalogue::Catalogue;
use super::entitlement::Entitlement;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::offer;

/// One entry, without what says where it is served.
pub struct Offer {
    /// Its id, which is taken for its value too.
    pub id: String,
    /// Its own attributes.
    pub attributes: Map<String, Value>,
}

impl Offer {
    /// Everything that is offered at the endpoint of a resource type, in the order of the
    /// configuration.
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
