//! The common attributes of all resources (RFC 7643, section 3.1), and recurring attribute
//! structures.

use crate::scim::attribute::{Attribute, Mutability, Returned};

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
                read_only(Attribute::reference("location", &["uri"], "Where it is served")),
                read_only(Attribute::string("version", "Its entity tag")).case_exact(),
            ],
        )
        .mutability(Mutability::ReadOnly),
    ]
}

fn read_only(attribute: Attribute) -> Attribute {
    attribute.mutability(Mutability::ReadOnly)
}

/// A multi-valued attribute with `value`, `display`, `type` and `primary`
/// (RFC 7643, section 2.4).
pub(super) fn plural(
    name: &str,
    description: &str,
    value: Attribute,
    canonical_types: &[&str],
) -> Attribute {
    Attribute::complex(
        name,
        description,
        vec![
            value,
            Attribute::string("display", "A name for people"),
            Attribute::string("type", "What this value is for").suggested(canonical_types),
            Attribute::boolean("primary", "Whether this is the preferred value; one at most"),
        ],
    )
    .multi_valued()
}
