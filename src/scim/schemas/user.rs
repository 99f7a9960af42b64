//! The User resource type: core schema (RFC 7643, section 4.1) and enterprise extension (4.3).

use super::access;
use super::common::{self, plural};
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
        description: "A person's account".to_owned(),
        display: &["displayName", USER_NAME],
        tag: 1,
        is_account: true,
        schema: core(),
        extensions: vec![Extension { schema: enterprise(), required: false }, access::extension()],
        common: common::attributes(),
    }
}

fn core() -> Schema {
    Schema {
        id: USER.to_owned(),
        aliases: &[],
        name: "User".to_owned(),
        description: "A person's account".to_owned(),
        attributes: vec![
            Attribute::string(USER_NAME, "The name by which the person signs in")
                .required()
                .uniqueness(Uniqueness::Server),
            Attribute::complex(
                "name",
                "The parts of the person's name",
                vec![
                    Attribute::string("formatted", "The whole name, as it is shown"),
                    Attribute::string("familyName", "Family name"),
                    Attribute::string("givenName", "Given name"),
                    Attribute::string("middleName", "Middle names"),
                    Attribute::string("honorificPrefix", "Title before the name"),
                    Attribute::string("honorificSuffix", "Title after the name"),
                ],
            ),
            Attribute::string("displayName", "The name that is shown to others"),
            Attribute::string("nickName", "The name used in conversation"),
            Attribute::reference("profileUrl", &["external"], "A page about the person"),
            Attribute::string("title", "Job title"),
            Attribute::string("userType", "How the person relates to the organisation"),
            Attribute::string("preferredLanguage", "Preferred language, as in Accept-Language"),
            Attribute::string("locale", "Locale for dates, numbers and currencies"),
            Attribute::string("timezone", "Time zone by its IANA name"),
            Attribute::boolean(ACTIVE, "Whether the account may be used")
                .omitted(Omitted::TrueThenKept),
            Attribute::string("password", "Accepted and never kept: this directory has no sign-in")
                .case_exact()
                .mutability(Mutability::WriteOnly)
                .returned(Returned::Never),
            plural(
                "emails",
                "E-mail addresses",
                Attribute::string("value", "The address").indexed(),
                &["work", "home", "other"],
            ),
            plural(
                "phoneNumbers",
                "Telephone numbers",
                Attribute::string("value", "The number"),
                &["work", "home", "mobile", "fax", "pager", "other"],
            ),
            plural(
                "ims",
                "Instant messaging addresses",
                Attribute::string("value", "The address"),
                &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"],
            ),
            plural(
                "photos",
                "Pictures",
                Attribute::reference("value", &["external"], "Where the picture is"),
                &["photo", "thumbnail"],
            ),
            addresses(),
            Attribute::complex(
                "groups",
                "The groups that the person belongs to, set through the groups themselves",
                vec![
                    read_only(Attribute::string("value", "The group's id")).case_exact(),
                    read_only(Attribute::reference("$ref", &["User", "Group"], "The group's URI")),
                    read_only(Attribute::string("display", "The group's name")),
                    read_only(Attribute::string("type", "How the person came into the group"))
                        .suggested(&["direct", "indirect"]),
                ],
            )
            .multi_valued()
            .mutability(Mutability::ReadOnly)
            .storage(Storage::Memberships),
            plural(
                ENTITLEMENTS,
                "Things the person is entitled to",
                Attribute::string("value", "The entitlement"),
                &[],
            ),
            plural(ROLES, "Roles", Attribute::string("value", "The role"), &[]),
            plural(
                "x509Certificates",
                "Certificates",
                Attribute::binary("value", "The certificate, DER in base64"),
                &[],
            ),
        ],
    }
}

fn addresses() -> Attribute {
    Attribute::complex(
        "addresses",
        "Postal addresses",
        vec![
            Attribute::string("formatted", "The whole address, as it is printed"),
            Attribute::string("streetAddress", "Street, house number, apartment"),
            Attribute::string("locality", "City or locality"),
            Attribute::string("region", "State or region"),
            Attribute::string("postalCode", "Postal code"),
            Attribute::string("country", "Country, ISO 3166-1 alpha-2"),
            Attribute::string("type", "What this address is for")
                .suggested(&["work", "home", "other"]),
            Attribute::boolean("primary", "Whether this is the preferred address; one at most"),
        ],
    )
    .multi_valued()
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
        name: "Enterprise User".to_owned(),
        description: "What an organisation knows about a person's position".to_owned(),
        attributes: vec![
            Attribute::string("employeeNumber", "Number given by the organisation"),
            Attribute::string("costCenter", "Cost center"),
            Attribute::string("organization", "Organization"),
            Attribute::string("division", "Division"),
            Attribute::string(DEPARTMENT, "Department"),
            Attribute::complex(
                "manager",
                "The person's manager",
                vec![
                    Attribute::string("value", "The manager's id").case_exact(),
                    Attribute::reference("$ref", &["User"], "The manager's URI"),
                    read_only(Attribute::string("displayName", "The manager's name")),
                ],
            ),
        ],
    }
}

fn read_only(attribute: Attribute) -> Attribute {
    attribute.mutability(Mutability::ReadOnly)
}
