//! The common attributes of all resources (RFC 7643, section 3.1), and recurring attribute
//! structures.

use crate::scim::attribute::{Attribute, Mutability, PRIMARY, Returned};

/// The name of the attribute that lists a resource's schemas.
pub const SCHEMAS: &str = "schemas";
/// The name of the attribute that identifies a resource.
pub const ID: &str = "id";
/// The name of the attribute by which the client identifies a resource.
pub const EXTERNAL_ID: &str = "externalId";
/// The name of the attribute in which the service provider describes a resource.
pub const META: &str = "meta";

/// `schemas`, `id`, `externalId` and `meta`.
pub fn attributes() -> Vec<Attribute> {
    vec![
        Attribute::reference(SCHEMAS, &["uri"], "URNs of the schemas that describe this resource")
            .multi_valued()
            .required()
            .returned(Returned::Always),
        Attribute::string(ID, "The service provider's identifier of this resource")
            .case_exact()
            .mutability(Mutability::ReadOnly)
            .returned(Returned::Always),
        Attribute::string(EXTERNAL_ID, "The client's identifier of this resource")
            .case_exact()
            .indexed(),
        Attribute::complex(
            META,
            "What the service provider knows about this resource",
            vec![
                read_only(Attribute::string("resourceType", "The name of its resource type"))
                    .case_exact(),
                read_only(Attribute::date_time("created", "When it was created")),
                read_only(Attribute::date_time("lastModified", "When it last changed")),
                read_only(Attribute::reference("location", &["uri"], "The URL of this resource")),
                read_only(Attribute::string("version", "Its entity tag")).case_exact(),
            ],
        )
        .mutability(Mutability::ReadOnly),
    ]
}

fn read_only(attribute: Attribute) -> Attribute {
    attribute.mutability(Mutability::ReadOnly)
}

/// The description of every `display` (RFC 7643, section 8.7.1).
pub(super) const DISPLAY_DESCRIPTION: &str =
    "A human-readable name, primarily used for display purposes. READ-ONLY.";

/// A multi-valued attribute with `value`, `display`, `type` and `primary`
/// (RFC 7643, section 2.4). `types_clause` and `primary_clause` are the parts of their descriptions
/// that differ between attributes.
pub(super) fn plural(
    name: &str,
    description: &str,
    value: Attribute,
    types_clause: &str,
    canonical_types: &[&str],
    primary_clause: &str,
) -> Attribute {
    Attribute::complex(
        name,
        description,
        vec![
            value,
            Attribute::string("display", DISPLAY_DESCRIPTION),
            label(types_clause, canonical_types),
            primary(primary_clause),
        ],
    )
    .multi_valued()
}

/// The sub-attribute `type`; the clause gives examples.
pub(super) fn label(clause: &str, canonical_types: &[&str]) -> Attribute {
    let description = format!("A label indicating the attribute's function{clause}.");
    Attribute::string("type", &description).suggested(canonical_types)
}

/// The sub-attribute `primary`; the clause gives examples.
pub(super) fn primary(clause: &str) -> Attribute {
    let description = format!(
        "A Boolean value indicating the 'primary' or preferred attribute value for this \
         attribute{clause}. The primary attribute value 'true' MUST appear no more than once."
    );
    Attribute::boolean(PRIMARY, &description)
}
