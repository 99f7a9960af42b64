//! The flat dialect of accounts: `department`, `permissions`, `createdAt` and `lastSignInAt` at top
//! level, beside the attributes of RFC 7643.
//!
//! The dialect is translated in both directions and never stored: the department belongs to the
//! enterprise extension, `permissions` corresponds to `roles` and `entitlements`, and `createdAt`
//! is `meta.created`. In this dialect a workspace is called an app group.
//!
//! | file | what it does |
//! | --- | --- |
//! | `read` | translates the body of a POST or PUT to RFC 7643 |
//! | `patch` | translates the body of a PATCH to RFC 7644 |
//! | `permissions` | translates `permissions` to roles and entitlements |
//! | `form` | the flat form of a resource in responses |

mod form;
#[cfg(test)]
mod laws;
mod patch;
mod permissions;
mod read;

use serde_json::{Map, Value};

use crate::scim::json::take_member;
use crate::scim::schemas::user::USER;

pub use form::FlatForm;
pub use patch::read_patch;
pub use read::read;

const PERMISSIONS: &str = "permissions";
const CREATED_AT: &str = "createdAt";
const LAST_SIGN_IN_AT: &str = "lastSignInAt";

/// Appends elements to a list that is a member of an object, creating the list if it is missing. A
/// member of another type is left unchanged: later validation reports it.
fn append(object: &mut Map<String, Value>, name: &str, elements: Vec<Value>) {
    let list = match take_member(object, name) {
        None => Value::Array(elements),
        Some(Value::Array(mut list)) => {
            list.extend(elements);
            Value::Array(list)
        }
        Some(one @ (Value::Object(_) | Value::String(_))) => {
            std::iter::once(one).chain(elements).collect()
        }
        Some(other) => other,
    };
    object.insert(name.to_owned(), list);
}

/// Returns the name of an attribute without the URN prefix of the core schema.
fn local(name: &str) -> &str {
    let bare = |urn: &str| name.get(..urn.len())?.eq_ignore_ascii_case(urn).then_some(urn.len());
    bare(USER).and_then(|end| name.get(end..)?.strip_prefix([':', '.'])).unwrap_or(name)
}

/// Whether a path leads to an attribute or into it.
fn leads_to(path: &str, attribute: &str) -> bool {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    path.get(..end).is_some_and(|head| head.eq_ignore_ascii_case(attribute))
}
