//! What the catalogue has on offer, as resources.

use serde_json::{Map, Value, json};

use super::catalogue::Catalogue;
use super::entitlement::Entitlement;

/// One entry, without what says where it is served.
pub struct Offer {
    /// Its id, which is taken for its value too.
    pub id: String,
    /// Its own attributes.
    pub attributes: Map<String, Value>,
}

impl Offer {
    /// Every role, in the order of the configuration.
    pub fn roles(catalogue: &Catalogue) -> Vec<Self> {
        let roles = catalogue.roles.iter();
        roles.map(|role| Self::new(role.id.clone(), &role.name, &role.name, "role")).collect()
    }

    /// Every entitlement that can be named beforehand.
    pub fn entitlements(catalogue: &Catalogue) -> Vec<Self> {
        let all = Entitlement::all(catalogue);
        all.iter()
            .map(|entitlement| {
                let value = entitlement.to_string();
                Self::new(value.clone(), &value, &entitlement.in_words(), entitlement.kind())
            })
            .collect()
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
