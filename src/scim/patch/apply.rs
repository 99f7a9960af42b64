//! One operation on one resource.

use serde_json::{Map, Value};

use super::{Definition, PatchOperation, change, elements};
use crate::scim::attribute::Mutability;
use crate::scim::error::ScimError;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;

/// Carries out one operation; returns whether its target has, or may have, parts that are stored and never
/// returned. Whether it changed those must not show.
///
/// An operation that fails leaves the resource between two states: work on a copy.
///
/// # Errors
///
/// - `mutability`: the target can't be changed, or not once it is set.
/// - `noTarget`: the path selects nothing, and does not describe what could be added.
/// - `invalidSyntax`, `invalidValue`: a value has the wrong JSON type, does not fit, or is required.
/// - `tooMany`: more than [`super::MAX_ELEMENTS`] or [`super::MAX_COPIED_BYTES`].
pub fn apply(
    resource_type: &ResourceType,
    resource: &mut Resource,
    operation: &PatchOperation,
) -> Result<bool, ScimError> {
    let target = &operation.target;
    let Some(definition) = target.definition(resource_type) else {
        return Err(ScimError::no_target(format!(
            "{} has no attribute \"{target}\".",
            resource_type.name
        )));
    };
    if definition.is_read_only() {
        return if operation.explicit {
            Err(ScimError::mutability(format!("\"{target}\" is read-only.")))
        } else {
            Ok(false)
        };
    }
    let is_stored_unseen = definition.is_stored_unseen();
    let attributes = resource.attributes_mut();
    let Some(urn) = &target.extension else {
        change_member(attributes, definition, operation)?;
        return Ok(is_stored_unseen);
    };
    let extension = attributes.entry(urn.as_str()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(extended) = extension {
        change_member(extended, definition, operation)?;
        if extended.is_empty() {
            attributes.shift_remove(urn);
        }
    }
    Ok(is_stored_unseen)
}

fn change_member(
    owner: &mut Map<String, Value>,
    definition: Definition<'_>,
    operation: &PatchOperation,
) -> Result<(), ScimError> {
    let name = &definition.attribute.name;
    let present = owner.get_mut(name).map(Value::take);
    match changed(definition, operation, present)? {
        Some(value) => {
            owner.insert(name.clone(), value);
        }
        None => {
            owner.shift_remove(name);
        }
    }
    Ok(())
}

fn changed(
    definition: Definition<'_>,
    operation: &PatchOperation,
    present: Option<Value>,
) -> Result<Option<Value>, ScimError> {
    let Definition { attribute, sub_attribute } = definition;
    let PatchOperation { op, target, value, .. } = operation;
    let (op, value, path) = (*op, value.clone(), target.to_string());
    if target.filter.is_none() && sub_attribute.is_none() {
        return change::whole(attribute, op, value, present, &path);
    }
    if attribute.mutability == Mutability::WriteOnly {
        return Ok(None);
    }
    change::guarded(attribute, op, &path, present, |present| match sub_attribute {
        Some(sub_attribute) if !attribute.multi_valued => {
            change::part(attribute, sub_attribute, op, value, present, &path)
        }
        _ => elements::change(definition, target, op, value, present),
    })
}
