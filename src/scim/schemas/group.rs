//! The Group resource type (RFC 7643, section 4.2).

use super::common;
use crate::scim::attribute::{Attribute, Mutability, Storage, Uniqueness};
use crate::scim::schema::{ResourceType, Schema};

/// The URN of the Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// The attribute that names a group.
pub const DISPLAY_NAME: &str = "displayName";

/// Groups, served at `/Groups`.
pub fn resource_type() -> ResourceType {
    ResourceType {
        name: "Group".to_owned(),
        endpoint: "Groups".to_owned(),
        description: "Group".to_owned(),
        display: &[DISPLAY_NAME],
        tag: 2,
        is_account: false,
        schema: schema(),
        extensions: Vec::new(),
        common: common::attributes(),
        served_as_stored: false,
    }
}

fn schema() -> Schema {
    let immutable = |attribute: Attribute| attribute.mutability(Mutability::Immutable);
    Schema {
        id: GROUP.to_owned(),
        aliases: &[],
        name: "Group".to_owned(),
        description: "Group".to_owned(),
        attributes: vec![
            // Identity providers find their groups by this name, so it names one group.
            Attribute::string(DISPLAY_NAME, "A human-readable name for the Group. REQUIRED.")
                .required()
                .uniqueness(Uniqueness::Server),
            Attribute::complex(
                "members",
                "A list of members of the Group.",
                vec![
                    immutable(
                        Attribute::string("value", "Identifier of the member of this Group.")
                            .required(),
                    )
                    .case_exact(),
                    immutable(Attribute::reference(
                        "$ref",
                        &["User", "Group"],
                        "The URI corresponding to a SCIM resource that is a member of this Group.",
                    )),
                    immutable(Attribute::string(
                        "type",
                        "A label indicating the type of resource, e.g., 'User' or 'Group'.",
                    ))
                    .suggested(&["User", "Group"]),
                    immutable(Attribute::string(
                        "display",
                        "The member's name; if the client sends none, its name in scimd",
                    )),
                ],
            )
            .multi_valued()
            .storage(Storage::Members),
        ],
    }
}
