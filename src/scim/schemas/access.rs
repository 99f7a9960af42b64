//! The access extension: effective access and managing connection, returned on request.

use crate::scim::attribute::{Attribute, Mutability, Returned, Storage};
use crate::scim::schema::{Extension, Schema};

/// The URN of the extension.
pub const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";
/// The name of the attribute that lists effective access.
pub const EFFECTIVE: &str = "effective";
/// The name of the attribute that names the managing connection.
pub const MANAGED_BY: &str = "managedBy";

/// Returns the extension. Its attributes are computed on read and never stored.
pub fn extension() -> Extension {
    let computed = |attribute: Attribute| {
        attribute
            .mutability(Mutability::ReadOnly)
            .returned(Returned::Request)
            .storage(Storage::Computed)
    };
    let part = |attribute: Attribute| attribute.case_exact().mutability(Mutability::ReadOnly);
    let schema = Schema {
        id: ACCESS.to_owned(),
        aliases: &[],
        name: "Access".to_owned(),
        description: "Effective access of an account, and the connection that manages it".to_owned(),
        attributes: vec![
            computed(Attribute::string(MANAGED_BY, "The connection that manages the account"))
                .case_exact(),
            computed(
                Attribute::complex(
                    EFFECTIVE,
                    "Each piece of the account's access: its own, and what roles, permission sets and groups give; \
                     empty while it is inactive",
                    vec![
                        part(Attribute::string("value", "The entitlement")),
                        part(Attribute::string("sources", "What grants it")).multi_valued(),
                    ],
                )
                .multi_valued(),
            ),
        ],
    };
    Extension { schema, required: false }
}
