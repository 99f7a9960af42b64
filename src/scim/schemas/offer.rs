//! Roles and entitlements as resources, so that clients can offer them in a list
//! (draft-ietf-scim-roles-entitlements-01). They come from the configuration and are read-only.

use super::common;
use crate::scim::attribute::{Attribute, Mutability};
use crate::scim::schema::{ResourceType, Schema};

/// The URN of the Role schema.
pub const ROLE: &str = "urn:ietf:params:scim:schemas:extension:2.0:Role";
/// The URN of the Entitlement schema.
pub const ENTITLEMENT: &str = "urn:ietf:params:scim:schemas:extension:2.0:Entitlement";
/// The URNs by which Okta's import of entitlements finds both.
const OKTA: [(&str, &str); 2] = [
    (ROLE, "urn:okta:scim:schemas:core:1.0:Role"),
    (ENTITLEMENT, "urn:okta:scim:schemas:core:1.0:Entitlement"),
];

/// Okta's URN of a schema; `None` for one that Okta has no other URN for.
pub fn okta_urn(urn: &str) -> Option<&'static str> {
    OKTA.iter().find(|(known, _)| *known == urn).map(|(_, okta)| *okta)
}

/// Roles, served at `/Roles`.
pub fn role() -> ResourceType {
    offered("Role", "Roles", ROLE, "A role that accounts may have")
}

/// Entitlements, served at `/Entitlements`.
pub fn entitlement() -> ResourceType {
    offered("Entitlement", "Entitlements", ENTITLEMENT, "An entitlement that accounts may have")
}

fn offered(name: &str, endpoint: &str, urn: &str, description: &str) -> ResourceType {
    let read_only = |attribute: Attribute| attribute.mutability(Mutability::ReadOnly);
    ResourceType {
        name: name.to_owned(),
        endpoint: endpoint.to_owned(),
        description: description.to_owned(),
        display: &["displayName"],
        tag: 0,
        is_account: false,
        schema: Schema {
            id: urn.to_owned(),
            aliases: &[],
            name: name.to_owned(),
            description: description.to_owned(),
            attributes: vec![
                read_only(
                    Attribute::string("value", "The value of the account's attribute").required(),
                ),
                read_only(Attribute::string("display", "A name for people")),
                read_only(Attribute::string("displayName", "The same name, as Okta looks for it")),
                read_only(Attribute::string("type", "What it gives access to")),
                read_only(Attribute::boolean("supported", "Whether it may be given").required()),
            ],
        },
        extensions: Vec::new(),
        common: common::attributes(),
        served_as_stored: false,
    }
}
