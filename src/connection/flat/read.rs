//! Translates the body of a flat POST or PUT to that of RFC 7643.

use serde_json::{Map, Value};

use super::permissions::FlatAccess;
use super::{CREATED_AT, LAST_SIGN_IN_AT, PERMISSIONS, append};
use crate::access::Catalogue;
use crate::scim::error::ScimError;
use crate::scim::exchange::Exchange;
use crate::scim::json::{member, take_member};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::SCHEMAS;
use crate::scim::schemas::user::{DEPARTMENT, ENTERPRISE_USER, ENTITLEMENTS, ROLES};
use crate::scim::shape;
use crate::scim::validate::{Validated, validate_shaped};
use crate::scim::value::is_assigned;
use crate::text::excerpt;

/// Reads the body of a POST or PUT.
///
/// # Errors
///
/// As [`crate::scim::validate::validate`]; also `invalidValue` for a POST that lacks what the dialect
/// requires, and for access or a department that the catalogue does not know.
pub fn read(
    catalogue: &Catalogue,
    resource_type: &ResourceType,
    exchange: Exchange,
    body: Map<String, Value>,
) -> Result<Validated, ScimError> {
    let mut body = shape::body(resource_type, body)?;
    if exchange == Exchange::Create {
        check_new(&body)?;
    }
    let unknown = translate(catalogue, resource_type, &mut body)?;
    let mut validated = validate_shaped(resource_type, exchange, body)?;
    validated.unknown.extend(unknown);
    Ok(validated)
}

/// Checks that a new account has the attributes that the dialect requires.
fn check_new(body: &Map<String, Value>) -> Result<(), ScimError> {
    for name in [SCHEMAS, "userName", "name"] {
        if !member(body, name).is_some_and(is_assigned) {
            return Err(ScimError::invalid_value(format!("\"{name}\" is required.")));
        }
    }
    match member(body, "userName").and_then(Value::as_str) {
        Some(name) if !is_address(name) => Err(ScimError::invalid_value(format!(
            "\"userName\" must be an e-mail address such as \"ada@example.com\", not \"{}\".",
            excerpt(name, 100)
        ))),
        _ => Ok(()),
    }
}

/// Whether a text looks like an e-mail address.
fn is_address(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    text.rsplit_once('@').is_some_and(|(person, host)| {
        !person.is_empty()
            && !host.is_empty()
            && !host.starts_with('.')
            && !host.ends_with('.')
            && !text.contains(is_odd)
    })
}

/// Translates a body, whose values are in shape, to RFC 7643, and returns the paths of members that
/// the dialect does not define.
fn translate(
    catalogue: &Catalogue,
    resource_type: &ResourceType,
    body: &mut Map<String, Value>,
) -> Result<Vec<String>, ScimError> {
    // These attributes are read-only and therefore ignored.
    take_member(body, CREATED_AT);
    take_member(body, LAST_SIGN_IN_AT);
    let mut unknown = Vec::new();
    if let Some(permissions) = take_member(body, PERMISSIONS) {
        let access = FlatAccess::read(catalogue, permissions)?;
        append(body, ROLES, access.roles);
        append(body, ENTITLEMENTS, access.entitlements);
        unknown = access.unknown;
    }
    department(catalogue, resource_type, body)?;
    Ok(unknown)
}

/// Moves the department into the enterprise extension. The top-level one takes precedence.
fn department(
    catalogue: &Catalogue,
    resource_type: &ResourceType,
    body: &mut Map<String, Value>,
) -> Result<(), ScimError> {
    let given = take_member(body, DEPARTMENT);
    let schema = resource_type.extension(ENTERPRISE_USER).map(|extension| &extension.schema);
    let given = match (given, schema.and_then(|schema| schema.attribute(DEPARTMENT))) {
        (Some(given), Some(attribute)) => Some(shape::value(attribute, given)),
        (given, _) => given,
    };
    let mut extension = match take_member(body, ENTERPRISE_USER) {
        None => Map::new(),
        Some(Value::Object(extension)) => extension,
        // Left unchanged: validation reports it.
        Some(other) => {
            body.insert(ENTERPRISE_USER.to_owned(), other);
            return Ok(());
        }
    };
    let own = take_member(&mut extension, DEPARTMENT);
    if let Some(given) = given.or(own) {
        extension.insert(DEPARTMENT.to_owned(), listed(catalogue, given)?);
    }
    if !extension.is_empty() {
        body.insert(ENTERPRISE_USER.to_owned(), Value::Object(extension));
    }
    Ok(())
}

/// Returns a department in its configured spelling; null for a blank one.
pub(super) fn listed(catalogue: &Catalogue, given: Value) -> Result<Value, ScimError> {
    match given {
        Value::String(name) if name.trim().is_empty() => Ok(Value::Null),
        Value::String(name) => catalogue.department(&name).map(Value::String),
        other => Ok(other),
    }
}
