//! Translates the body of a flat PATCH to that of RFC 7644.

use serde_json::{Map, Value, json};

use super::permissions::FlatAccess;
use super::read::listed;
use super::{CREATED_AT, LAST_SIGN_IN_AT, PERMISSIONS, append, leads_to, local};
use crate::access::Catalogue;
use crate::scim::error::ScimError;
use crate::scim::json::{member, member_mut, take_member};
use crate::scim::patch::{Op, PatchRequest};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::{DEPARTMENT, ENTERPRISE_USER, ENTITLEMENTS, ROLES, USER};
use crate::scim::shape;
use crate::text::excerpt;

/// Reads the body of a PATCH.
///
/// # Errors
///
/// As [`PatchRequest::parse`]; also `invalidPath` for a path into `permissions`, and `invalidValue` for
/// access or a department that the catalogue does not know.
pub fn read_patch(
    catalogue: &Catalogue,
    resource_type: &ResourceType,
    mut body: Map<String, Value>,
) -> Result<PatchRequest, ScimError> {
    let mut translator = Translator { catalogue, unknown: Vec::new() };
    let operations = match member_mut(&mut body, "Operations") {
        Some(Value::Array(operations)) => operations.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    for operation in operations.iter_mut().filter_map(Value::as_object_mut) {
        translator.operation(operation)?;
    }
    let mut request = PatchRequest::parse(resource_type, body)?;
    for operation in &mut request.operations {
        let target = &operation.target;
        let in_enterprise = target.extension.as_deref() == Some(ENTERPRISE_USER);
        if operation.op != Op::Remove && in_enterprise && target.attribute == DEPARTMENT {
            let given = operation.value.take().unwrap_or_default();
            operation.value = Some(listed(catalogue, given)?);
        }
    }
    request.unknown.extend(translator.unknown);
    Ok(request)
}

struct Translator<'c> {
    catalogue: &'c Catalogue,
    /// The paths of members that the dialect does not define.
    unknown: Vec<String>,
}

impl Translator<'_> {
    /// Translates one operation in place. A malformed operation is left unchanged: later validation
    /// reports it.
    fn operation(&mut self, operation: &mut Map<String, Value>) -> Result<(), ScimError> {
        let path = member(operation, "path").and_then(Value::as_str);
        let path = local(path.unwrap_or_default().trim()).to_owned();
        if is_given_here(&path) {
            return Err(ScimError::mutability(format!("\"{path}\" is read-only.")));
        }
        if leads_to(&path, PERMISSIONS) {
            check_whole(&path)?;
            without_path(operation)?;
        } else if !path.is_empty() && !path.eq_ignore_ascii_case(USER) {
            return Ok(());
        }
        let Some(value) = member_mut(operation, "value") else { return Ok(()) };
        *value = shape::single(value.take());
        match value {
            Value::Object(attributes) => self.attributes(attributes),
            _ => Ok(()),
        }
    }

    /// Translates the members of an object that stands for the account.
    fn attributes(&mut self, attributes: &mut Map<String, Value>) -> Result<(), ScimError> {
        let mut permissions = Vec::new();
        for (name, mut value) in std::mem::take(attributes) {
            let path = local(&name);
            if leads_to(path, PERMISSIONS) {
                check_whole(path)?;
                permissions.push(value);
            } else if !is_given_here(path) {
                if let (true, Some(core)) = (name.eq_ignore_ascii_case(USER), value.as_object_mut())
                {
                    self.attributes(core)?;
                }
                attributes.insert(name, value);
            }
        }
        for given in permissions {
            self.permissions(given, attributes)?;
        }
        Ok(())
    }

    /// Adds the roles and entitlements for `permissions` to the members of an object.
    fn permissions(
        &mut self,
        given: Value,
        attributes: &mut Map<String, Value>,
    ) -> Result<(), ScimError> {
        if given.is_null() {
            for name in [ROLES, ENTITLEMENTS] {
                if member(attributes, name).is_none() {
                    attributes.insert(name.to_owned(), Value::Null);
                }
            }
            return Ok(());
        }
        let access = FlatAccess::read(self.catalogue, given)?;
        append(attributes, ROLES, access.roles);
        append(attributes, ENTITLEMENTS, access.entitlements);
        self.unknown.extend(access.unknown);
        Ok(())
    }
}

/// Removes the path of an operation at `permissions`, because it maps to two attributes.
fn without_path(operation: &mut Map<String, Value>) -> Result<(), ScimError> {
    let word = member(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let removes = word.trim().eq_ignore_ascii_case(Op::Remove.as_str());
    take_member(operation, "path");
    if !removes {
        if let Some(value) = member_mut(operation, "value") {
            *value = json!({PERMISSIONS: value.take()});
        }
        return Ok(());
    }
    if take_member(operation, "value").is_some() {
        return Err(ScimError::invalid_value(format!(
            "remove of \"{PERMISSIONS}\" removes all of them and allows no \"value\"; to keep some, replace \
             \"{PERMISSIONS}\" with those."
        )));
    }
    take_member(operation, "op");
    operation.insert("op".to_owned(), json!(Op::Replace.as_str()));
    operation.insert("value".to_owned(), json!({PERMISSIONS: null}));
    Ok(())
}

/// Whether a path leads to a read-only attribute of the dialect.
fn is_given_here(path: &str) -> bool {
    [CREATED_AT, LAST_SIGN_IN_AT].iter().any(|name| leads_to(path, name))
}

/// Refuses a path into `permissions`.
fn check_whole(path: &str) -> Result<(), ScimError> {
    if path.eq_ignore_ascii_case(PERMISSIONS) {
        return Ok(());
    }
    Err(ScimError::invalid_path(format!(
        "\"{}\" can't be changed on its own: send all of \"{PERMISSIONS}\", or change \"{ROLES}\" and \
         \"{ENTITLEMENTS}\".",
        excerpt(path, 100)
    )))
}
