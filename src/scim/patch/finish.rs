//! The checks after the last operation.

use serde_json::{Map, Value};

use crate::scim::attribute::{Attribute, Mutability};
use crate::scim::canonical::{check_primary, drop_repeated, required};
use crate::scim::error::ScimError;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::SCHEMAS;

/// Checks a resource after the last operation, and puts it in canonical order.
///
/// A required attribute that was missing before may still be missing: an account must remain
/// possible to deactivate after the operator has made more attributes required.
///
/// # Errors
///
/// `invalidValue`: a required attribute is missing now, or several elements are primary.
pub fn finish(
    resource_type: &ResourceType,
    previous: &Resource,
    resource: &mut Resource,
) -> Result<(), ScimError> {
    resource.sort(resource_type);
    let attributes = resource.attributes_mut();
    let top_level = resource_type.common.iter().chain(&resource_type.schema.attributes);
    for attribute in top_level.filter(|attribute| attribute.name != SCHEMAS) {
        let is_due = || previous.value(None, &attribute.name).is_some();
        settle(attribute, is_due, attributes, "")?;
    }
    for extension in &resource_type.extensions {
        let urn = &extension.schema.id;
        let Some(Value::Object(extended)) = attributes.get_mut(urn) else {
            if extension.required && previous.get(urn).is_some() {
                return Err(required(urn));
            }
            continue;
        };
        let is_new = previous.get(urn).is_none();
        for attribute in &extension.schema.attributes {
            let is_due = || is_new || previous.value(Some(urn), &attribute.name).is_some();
            settle(attribute, is_due, extended, &format!("{urn}:"))?;
        }
        sort(&extension.schema.attributes, extended);
        if extended.is_empty() {
            attributes.shift_remove(urn);
        }
    }
    Ok(())
}

/// Whether a client must provide the attribute and can read it afterwards.
fn is_needed(attribute: &Attribute) -> bool {
    attribute.required
        && matches!(attribute.mutability, Mutability::ReadWrite | Mutability::Immutable)
}

/// Checks and orders one attribute of an object.
fn settle(
    attribute: &Attribute,
    is_due: impl Fn() -> bool,
    owner: &mut Map<String, Value>,
    prefix: &str,
) -> Result<(), ScimError> {
    let path = || format!("{prefix}{}", attribute.name);
    let Some(value) = owner.get_mut(&attribute.name) else {
        return if is_needed(attribute) && is_due() { Err(required(&path())) } else { Ok(()) };
    };
    let empty = match value {
        Value::Array(elements) => {
            for element in elements.iter_mut() {
                settle_parts(attribute, element, &path)?;
            }
            drop_repeated(attribute, elements);
            check_primary(elements, &path())?;
            elements.is_empty()
        }
        other => {
            settle_parts(attribute, other, &path)?;
            other.as_object().is_some_and(Map::is_empty)
        }
    };
    if empty {
        owner.shift_remove(&attribute.name);
    }
    Ok(())
}

fn settle_parts(
    attribute: &Attribute,
    value: &mut Value,
    path: &impl Fn() -> String,
) -> Result<(), ScimError> {
    if let Value::Object(parts) = value {
        let missing = attribute
            .sub_attributes
            .iter()
            .find(|part| is_needed(part) && !parts.contains_key(&part.name));
        if let Some(part) = missing {
            return Err(required(&format!("{}.{}", path(), part.name)));
        }
        sort(&attribute.sub_attributes, parts);
    }
    Ok(())
}

/// Sorts the members of an object in the schema's order, with undefined ones last.
fn sort(attributes: &[Attribute], object: &mut Map<String, Value>) {
    let place = |name: &String| {
        attributes.iter().position(|known| known.name == *name).unwrap_or(usize::MAX)
    };
    if !object.keys().map(place).is_sorted() {
        let mut members: Vec<_> = std::mem::take(object).into_iter().collect();
        members.sort_by_key(|(name, _)| place(name));
        object.extend(members);
    }
}
