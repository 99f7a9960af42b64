//! The User resource type: core schema (RFC 7643, section 4.1) and enterprise extension (4.3).

use super::access;
use super::common::{self, label, plural, primary};
use crate::scim::attribute::{Attribute, Mutability, Omitted, Returned, Storage, Uniqueness};
use crate::scim::schema::{Extension, ResourceType, Schema};

/// The URN of the core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The URN of the enterprise extension.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The name of the attribute that holds roles.
pub const ROLES: &str = "roles";
/// The name of the attribute that holds entitlements.
pub const ENTITLEMENTS: &str = "entitlements";
/// The name of the enterprise extension's attribute for the department.
pub const DEPARTMENT: &str = "department";
/// The name of the attribute that states whether the account is active.
pub const ACTIVE: &str = "active";

/// The attribute that names a user.
pub const USER_NAME: &str = "userName";

/// Users, served at `/Users`.
pub fn resource_type() -> ResourceType {
    ResourceType {
        name: "User".to_owned(),
        endpoint: "Users".to_owned(),
        description: "User Account".to_owned(),
        display: &["displayName", USER_NAME],
        tag: 1,
        is_account: true,
        schema: core(),
        extensions: vec![Extension { schema: enterprise(), required: false }, access::extension()],
        common: common::attributes(),
        served_as_stored: false,
    }
}

fn core() -> Schema {
    Schema {
        id: USER.to_owned(),
        aliases: &[],
        name: "User".to_owned(),
        description: "User Account".to_owned(),
        attributes: vec![
            Attribute::string(
                USER_NAME,
                "Unique identifier for the User, typically used by the user to directly \
                 authenticate to the service provider. Each User MUST include a non-empty userName \
                 value. This identifier MUST be unique across the service provider's entire set of \
                 Users. REQUIRED.",
            )
            .required()
            .uniqueness(Uniqueness::Server),
            Attribute::complex(
                "name",
                "The components of the user's real name. Providers MAY return just the full name \
                 as a single string in the formatted sub-attribute, or they MAY return just the \
                 individual component attributes using the other sub-attributes, or they MAY \
                 return both. If both variants are returned, they SHOULD be describing the same \
                 name, with the formatted name indicating how the component attributes should be \
                 combined.",
                vec![
                    Attribute::string(
                        "formatted",
                        "The full name, including all middle names, titles, and suffixes as \
                         appropriate, formatted for display (e.g., 'Ms. Barbara J Jensen, III').",
                    ),
                    Attribute::string(
                        "familyName",
                        "The family name of the User, or last name in most Western languages \
                         (e.g., 'Jensen' given the full name 'Ms. Barbara J Jensen, III').",
                    ),
                    Attribute::string(
                        "givenName",
                        "The given name of the User, or first name in most Western languages \
                         (e.g., 'Barbara' given the full name 'Ms. Barbara J Jensen, III').",
                    ),
                    Attribute::string(
                        "middleName",
                        "The middle name(s) of the User (e.g., 'Jane' given the full name 'Ms. \
                         Barbara J Jensen, III').",
                    ),
                    Attribute::string(
                        "honorificPrefix",
                        "The honorific prefix(es) of the User, or title in most Western languages \
                         (e.g., 'Ms.' given the full name 'Ms. Barbara J Jensen, III').",
                    ),
                    Attribute::string(
                        "honorificSuffix",
                        "The honorific suffix(es) of the User, or suffix in most Western languages \
                         (e.g., 'III' given the full name 'Ms. Barbara J Jensen, III').",
                    ),
                ],
            ),
            Attribute::string(
                "displayName",
                "The name of the User, suitable for display to end-users. The name SHOULD be the \
                 full name of the User being described, if known.",
            ),
            Attribute::string(
                "nickName",
                "The casual way to address the user in real life, e.g., 'Bob' or 'Bobby' instead \
                 of 'Robert'. This attribute SHOULD NOT be used to represent a User's username \
                 (e.g., 'bjensen' or 'mpepperidge').",
            ),
            Attribute::reference(
                "profileUrl",
                &["external"],
                "A fully qualified URL pointing to a page representing the User's online profile.",
            ),
            Attribute::string("title", "The user's title, such as \"Vice President.\""),
            Attribute::string(
                "userType",
                "Used to identify the relationship between the organization and the user. Typical \
                 values used might be 'Contractor', 'Employee', 'Intern', 'Temp', 'External', and \
                 'Unknown', but any value may be used.",
            ),
            Attribute::string(
                "preferredLanguage",
                "Indicates the User's preferred written or spoken language. Generally used for \
                 selecting a localized user interface; e.g., 'en_US' specifies the language \
                 English and country US.",
            ),
            Attribute::string(
                "locale",
                "Used to indicate the User's default location for purposes of localizing items \
                 such as currency, date time format, or numerical representations.",
            ),
            Attribute::string(
                "timezone",
                "The User's time zone in the 'Olson' time zone database format, e.g., \
                 'America/Los_Angeles'.",
            ),
            Attribute::boolean(
                ACTIVE,
                "A Boolean value indicating the User's administrative status.",
            )
            .omitted(Omitted::TrueThenKept),
            // Accepted and never kept: users do not sign in to scimd.
            Attribute::string(
                "password",
                "The User's cleartext password. This attribute is intended to be used as a means \
                 to specify an initial password when creating a new User or to reset an existing \
                 User's password.",
            )
            .case_exact()
            .mutability(Mutability::WriteOnly)
            .returned(Returned::Never),
            plural(
                "emails",
                "Email addresses for the user. The value SHOULD be canonicalized by the service \
                 provider, e.g., 'bjensen@example.com' instead of 'bjensen@EXAMPLE.COM'. Canonical \
                 type values of 'work', 'home', and 'other'.",
                Attribute::string(
                    "value",
                    "Email addresses for the user. The value SHOULD be canonicalized by the \
                     service provider, e.g., 'bjensen@example.com' instead of \
                     'bjensen@EXAMPLE.COM'. Canonical type values of 'work', 'home', and 'other'.",
                )
                .indexed(),
                ", e.g., 'work' or 'home'",
                &["work", "home", "other"],
                ", e.g., the preferred mailing address or primary email address",
            ),
            plural(
                "phoneNumbers",
                "Phone numbers for the User. The value SHOULD be canonicalized by the service \
                 provider according to the format specified in RFC 3966, e.g., \
                 'tel:+1-201-555-0123'. Canonical type values of 'work', 'home', 'mobile', 'fax', \
                 'pager', and 'other'.",
                Attribute::string("value", "Phone number of the User."),
                ", e.g., 'work', 'home', 'mobile'",
                &["work", "home", "mobile", "fax", "pager", "other"],
                ", e.g., the preferred phone number or primary phone number",
            ),
            plural(
                "ims",
                "Instant messaging addresses for the User.",
                Attribute::string("value", "Instant messaging address for the User."),
                ", e.g., 'aim', 'gtalk', 'xmpp'",
                &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"],
                ", e.g., the preferred messenger or primary messenger",
            ),
            plural(
                "photos",
                "URLs of photos of the User.",
                Attribute::reference("value", &["external"], "URL of a photo of the User."),
                ", i.e., 'photo' or 'thumbnail'",
                &["photo", "thumbnail"],
                ", e.g., the preferred photo or thumbnail",
            ),
            addresses(),
            groups(),
            plural(
                ENTITLEMENTS,
                "A list of entitlements for the User that represent a thing the User has.",
                Attribute::string("value", "The value of an entitlement."),
                "",
                &[],
                "",
            ),
            plural(
                ROLES,
                "A list of roles for the User that collectively represent who the User is, e.g., \
                 'Student', 'Faculty'.",
                Attribute::string("value", "The value of a role."),
                "",
                &[],
                "",
            ),
            plural(
                "x509Certificates",
                "A list of certificates issued to the User.",
                Attribute::binary("value", "The value of an X.509 certificate."),
                "",
                &[],
                "",
            ),
        ],
    }
}

fn addresses() -> Attribute {
    Attribute::complex(
        "addresses",
        "A physical mailing address for this User. Canonical type values of 'work', 'home', and \
         'other'. This attribute is a complex type with the following sub-attributes.",
        vec![
            Attribute::string(
                "formatted",
                "The full mailing address, formatted for display or use with a mailing label. This \
                 attribute MAY contain newlines.",
            ),
            Attribute::string(
                "streetAddress",
                "The full street address component, which may include house number, street name, \
                 P.O. box, and multi-line extended street address information. This attribute MAY \
                 contain newlines.",
            ),
            Attribute::string("locality", "The city or locality component."),
            Attribute::string("region", "The state or region component."),
            Attribute::string("postalCode", "The zip code or postal code component."),
            Attribute::string("country", "The country name component."),
            label(", e.g., 'work' or 'home'", &["work", "home", "other"]),
            primary(", e.g., the preferred mailing address"),
        ],
    )
    .multi_valued()
}

fn groups() -> Attribute {
    Attribute::complex(
        "groups",
        "A list of groups to which the user belongs, either through direct membership, through \
         nested groups, or dynamically calculated.",
        vec![
            read_only(Attribute::string("value", "The identifier of the User's group."))
                .case_exact(),
            read_only(Attribute::reference(
                "$ref",
                &["User", "Group"],
                "The URI of the corresponding 'Group' resource to which the user belongs.",
            )),
            read_only(Attribute::string("display", common::DISPLAY_DESCRIPTION)),
            read_only(label(", e.g., 'direct' or 'indirect'", &["direct", "indirect"])),
        ],
    )
    .multi_valued()
    .mutability(Mutability::ReadOnly)
    .storage(Storage::Memberships)
}

fn enterprise() -> Schema {
    Schema {
        id: ENTERPRISE_USER.to_owned(),
        // Entra's documentation misspells it; OneLogin's templates have URNs from before the RFC.
        aliases: &[
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0User",
            "urn:scim:schemas:extension:enterprise:2.0",
            "urn:scim:schemas:extension:enterprise:1.0",
        ],
        name: "EnterpriseUser".to_owned(),
        description: "Enterprise User".to_owned(),
        attributes: vec![
            Attribute::string(
                "employeeNumber",
                "Numeric or alphanumeric identifier assigned to a person, typically based on order \
                 of hire or association with an organization.",
            ),
            Attribute::string("costCenter", "Identifies the name of a cost center."),
            Attribute::string("organization", "Identifies the name of an organization."),
            Attribute::string("division", "Identifies the name of a division."),
            Attribute::string(DEPARTMENT, "Identifies the name of a department."),
            Attribute::complex(
                "manager",
                "The User's manager. A complex type that optionally allows service providers to \
                 represent organizational hierarchy by referencing the 'id' attribute of another \
                 User.",
                vec![
                    Attribute::string(
                        "value",
                        "The id of the SCIM resource representing the User's manager. REQUIRED.",
                    )
                    .case_exact(),
                    Attribute::reference(
                        "$ref",
                        &["User"],
                        "The URI of the SCIM resource representing the User's manager. REQUIRED.",
                    ),
                    read_only(Attribute::string(
                        "displayName",
                        "The displayName of the User's manager. OPTIONAL and READ-ONLY.",
                    )),
                ],
            ),
        ],
    }
}

fn read_only(attribute: Attribute) -> Attribute {
    attribute.mutability(Mutability::ReadOnly)
}
