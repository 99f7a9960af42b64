//! The schemas of the discovery documents themselves (RFC 7643, sections 5 to 7 and 8.7.2; RFC 9865,
//! section 4). Where the RFC's definition lacks an attribute that its text names, it is added.

use crate::scim::attribute::{Attribute, Mutability, Returned, Type, Uniqueness};
use crate::scim::schema::Schema;

/// The URN of the schema of the service provider's configuration.
pub const SERVICE_PROVIDER_CONFIG: &str =
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// The URN of the schema of resource types.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// The URN of the schema of schemas.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// Returns the schemas of `ServiceProviderConfig`, `ResourceType` and `Schema`.
pub fn all() -> [Schema; 3] {
    [service_provider_config(), resource_type(), schema()]
}

fn service_provider_config() -> Schema {
    let scheme_uri = |name, description| Attribute::reference(name, &["external"], description);
    discovery(
        SERVICE_PROVIDER_CONFIG,
        "Service Provider Configuration",
        "Schema for representing the service provider's configuration",
        vec![
            Attribute::reference(
                "documentationUri",
                &["external"],
                "An HTTP-addressable URL pointing to the service provider's human-consumable help \
                 documentation.",
            ),
            feature("patch", "A complex type that specifies PATCH configuration options.", vec![]),
            feature(
                "bulk",
                "A complex type that specifies bulk configuration options.",
                vec![
                    integer(
                        "maxOperations",
                        "An integer value specifying the maximum number of operations.",
                    ),
                    integer(
                        "maxPayloadSize",
                        "An integer value specifying the maximum payload size in bytes.",
                    ),
                ],
            ),
            feature(
                "filter",
                "A complex type that specifies FILTER options.",
                vec![integer(
                    "maxResults",
                    "An integer value specifying the maximum number of resources returned in a \
                     response.",
                )],
            ),
            feature(
                "changePassword",
                "A complex type that specifies configuration options related to changing a password.",
                vec![],
            ),
            feature("sort", "A complex type that specifies sort result options.", vec![]),
            feature("etag", "A complex type that specifies ETag configuration options.", vec![]),
            pagination(),
            Attribute::complex(
                "authenticationSchemes",
                "A complex type that specifies supported authentication scheme properties.",
                vec![
                    Attribute::string("type", "The authentication scheme.")
                        .suggested(&[
                            "oauth",
                            "oauth2",
                            "oauthbearertoken",
                            "httpbasic",
                            "httpdigest",
                        ])
                        .required(),
                    Attribute::string(
                        "name",
                        "The common authentication scheme name, e.g., HTTP Basic.",
                    )
                    .required(),
                    Attribute::string("description", "A description of the authentication scheme.")
                        .required(),
                    scheme_uri(
                        "specUri",
                        "An HTTP-addressable URL pointing to the authentication scheme's \
                         specification.",
                    ),
                    scheme_uri(
                        "documentationUri",
                        "An HTTP-addressable URL pointing to the authentication scheme's usage \
                         documentation.",
                    ),
                    Attribute::boolean("primary", "Whether this is the preferred scheme."),
                ],
            )
            .multi_valued()
            .required(),
        ],
    )
}

/// An option with `supported` and its details.
fn feature(name: &str, description: &str, details: Vec<Attribute>) -> Attribute {
    let supported = Attribute::boolean(
        "supported",
        "A Boolean value specifying whether or not the operation is supported.",
    );
    let parts = std::iter::once(supported.required()).chain(details);
    Attribute::complex(name, description, parts.collect()).required()
}

fn integer(name: &str, description: &str) -> Attribute {
    Attribute::new(Type::Integer, name, description).required()
}

fn pagination() -> Attribute {
    let page_size = |name, description| Attribute::new(Type::Integer, name, description);
    Attribute::complex(
        "pagination",
        "A complex type that indicates pagination configuration options.",
        vec![
            Attribute::boolean("cursor", "Whether pages by cursor are supported.").required(),
            Attribute::boolean("index", "Whether pages by start index are supported.").required(),
            Attribute::string(
                "defaultPaginationMethod",
                "The kind of pages that a request gets if it names none.",
            )
            .suggested(&["cursor", "index"]),
            page_size(
                "defaultPageSize",
                "The number of resources in a page if the request names no count.",
            ),
            page_size("maxPageSize", "The maximum number of resources in a page."),
        ],
    )
}

fn resource_type() -> Schema {
    discovery(
        RESOURCE_TYPE,
        "ResourceType",
        "Specifies the schema that describes a SCIM resource type",
        vec![
            Attribute::string(
                "id",
                "The resource type's server unique id. May be the same as the 'name' attribute.",
            ),
            Attribute::string(
                "name",
                "The resource type name. When applicable, service providers MUST specify the name, \
                 e.g., 'User'.",
            )
            .required(),
            Attribute::string(
                "description",
                "The resource type's human-readable description. When applicable, service \
                 providers MUST specify the description.",
            ),
            Attribute::reference(
                "endpoint",
                &["uri"],
                "The resource type's HTTP-addressable endpoint relative to the Base URL, e.g., \
                 '/Users'.",
            )
            .required(),
            Attribute::reference(
                "schema",
                &["uri"],
                "The resource type's primary/base schema URI.",
            )
            .required(),
            Attribute::complex(
                "schemaExtensions",
                "A list of URIs of the resource type's schema extensions.",
                vec![
                    Attribute::reference("schema", &["uri"], "The URI of a schema extension.")
                        .required(),
                    Attribute::boolean(
                        "required",
                        "A Boolean value that specifies whether or not the schema extension is \
                         required for the resource type. If true, a resource of this type MUST \
                         include this schema extension and also include any attributes declared \
                         as required in this schema extension. If false, a resource of this type \
                         MAY omit this schema extension.",
                    )
                    .required(),
                ],
            )
            // The RFC's definition has it singular, its text and its example a list.
            .multi_valued()
            .required(),
        ],
    )
}

fn schema() -> Schema {
    let mut attributes = characteristics();
    attributes.push(
        Attribute::complex(
            "subAttributes",
            "Used to define the sub-attributes of a complex attribute.",
            characteristics(),
        )
        .multi_valued(),
    );
    // The RFC describes the description as it does the name.
    let name = "The schema's human-readable name. When applicable, service providers MUST specify the \
                name, e.g., 'User'.";
    discovery(
        SCHEMA,
        "Schema",
        "Specifies the schema that describes a SCIM schema",
        vec![
            Attribute::string(
                "id",
                "The unique URI of the schema. When applicable, service providers MUST specify the \
                 URI.",
            )
            .required(),
            Attribute::string("name", name).required(),
            Attribute::string("description", name),
            Attribute::complex(
                "attributes",
                "A complex attribute that includes the attributes of a schema.",
                attributes,
            )
            .multi_valued()
            .required(),
        ],
    )
}

/// The definition of an attribute, without its sub-attributes.
fn characteristics() -> Vec<Attribute> {
    let text = |name, description| Attribute::string(name, description).case_exact();
    vec![
        text("name", "The attribute's name.").required(),
        Attribute::string(
            "type",
            "The attribute's data type. Valid values include 'string', 'complex', 'boolean', \
             'decimal', 'integer', 'dateTime', 'reference'.",
        )
        .suggested(&Type::ALL.map(Type::as_str))
        .required(),
        Attribute::boolean("multiValued", "A Boolean value indicating an attribute's plurality.")
            .required(),
        text("description", "A human-readable description of the attribute."),
        Attribute::boolean(
            "required",
            "A boolean value indicating whether or not the attribute is required.",
        ),
        text(
            "canonicalValues",
            "A collection of canonical values. When applicable, service providers MUST specify the \
             canonical types, e.g., 'work', 'home'.",
        )
        .multi_valued(),
        Attribute::boolean(
            "caseExact",
            "A Boolean value indicating whether or not a string attribute is case sensitive.",
        ),
        text("mutability", "Indicates whether or not an attribute is modifiable.")
            .suggested(&Mutability::ALL.map(Mutability::as_str)),
        text(
            "returned",
            "Indicates when an attribute is returned in a response (e.g., to a query).",
        )
        .suggested(&Returned::ALL.map(Returned::as_str)),
        text("uniqueness", "Indicates how unique a value must be.")
            .suggested(&Uniqueness::ALL.map(Uniqueness::as_str)),
        text(
            "referenceTypes",
            "Used only with an attribute of type 'reference'. Specifies a SCIM resourceType that a \
             reference attribute MAY refer to, e.g., 'User'.",
        )
        .multi_valued(),
    ]
}

/// A schema whose attributes are all read-only.
fn discovery(id: &str, name: &str, description: &str, attributes: Vec<Attribute>) -> Schema {
    Schema {
        id: id.to_owned(),
        aliases: &[],
        name: name.to_owned(),
        description: description.to_owned(),
        attributes: attributes.into_iter().map(read_only).collect(),
    }
}

fn read_only(attribute: Attribute) -> Attribute {
    let sub_attributes = attribute.sub_attributes.into_iter().map(read_only).collect();
    Attribute { sub_attributes, mutability: Mutability::ReadOnly, ..attribute }
}
