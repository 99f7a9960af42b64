//! The effect of an operation on one value.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::Op;
use super::list::{check_count, demote_others, from_list, identity, into_list, key};
use crate::scim::attribute::{Attribute, Mutability, Type, VALUE};
use crate::scim::canonical::{Canonical, InputObject, is_blank, is_primary, required};
use crate::scim::error::ScimError;
use crate::scim::exchange::{Exchange, Incoming};

/// Returns the whole value of an attribute or sub-attribute after an operation on it.
pub(super) fn whole(
    attribute: &Attribute,
    op: Op,
    value: Option<Value>,
    present: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    match Exchange::Patch.incoming(attribute.mutability) {
        Incoming::Ignored => Ok(present),
        Incoming::CheckedOnly => {
            if let (Some(value), true) = (value, op != Op::Remove) {
                canonical().attribute(attribute, value, path)?;
            }
            Ok(None)
        }
        Incoming::Taken | Incoming::MustMatch => {
            guarded(attribute, op, path, present, |present| match (op, value) {
                (Op::Remove, Some(listed)) if attribute.multi_valued && !listed.is_null() => {
                    remove_listed(attribute, listed, present, path)
                }
                (Op::Remove, _) => Ok(None),
                (Op::Add, value) => {
                    let value = value.unwrap_or_default();
                    if is_nothing(&value) {
                        Ok(present)
                    } else {
                        set(attribute, op, value, present, path)
                    }
                }
                (Op::Replace, value) => {
                    set(attribute, op, value.unwrap_or_default(), present, path)
                }
            })
        }
    }
}

/// Applies a change and checks it against the characteristics of its attribute.
///
/// # Errors
///
/// `mutability` if a required attribute is removed (RFC 7644, section 3.5.2.2), or if an immutable
/// one had a value and ends with another, which is ignored where the value is never returned; `invalidValue` if a required one is given no value.
pub(super) fn guarded(
    attribute: &Attribute,
    op: Op,
    path: &str,
    present: Option<Value>,
    change: impl FnOnce(Option<Value>) -> Result<Option<Value>, ScimError>,
) -> Result<Option<Value>, ScimError> {
    let immutable = attribute.mutability == Mutability::Immutable;
    let before = if immutable { present.clone() } else { None };
    let after = change(present)?;
    if before.is_some() && after != before {
        // An error would tell a wrong value of what is never returned from the right one.
        return if attribute.is_stored_unseen() { Ok(before) } else { Err(set_once(path)) };
    }
    if after.is_none() && attribute.required {
        return Err(match op {
            Op::Remove => {
                ScimError::mutability(format!("\"{path}\" is required and can't be removed."))
            }
            Op::Add | Op::Replace => required(path),
        });
    }
    Ok(after)
}

fn set(
    attribute: &Attribute,
    op: Op,
    value: Value,
    present: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    if attribute.multi_valued {
        let given = canonical().attribute(attribute, value, path)?;
        return match op {
            Op::Add => add(attribute, given, present, path),
            Op::Replace | Op::Remove => Ok(given),
        };
    }
    if attribute.kind != Type::Complex {
        return canonical().attribute(attribute, value, path);
    }
    match canonical().object(attribute, value, path)? {
        Some(object) if !object.is_empty() => merge_singular(attribute, op, object, present, path),
        _ => Ok(None),
    }
}

/// The elements after something was added (RFC 7644, section 3.5.2.1).
///
/// An element with the `value` and `type` of an existing one is the same element (RFC 7643, section
/// 2.4), and adds the sub-attributes that the existing one lacks.
fn add(
    attribute: &Attribute,
    given: Option<Value>,
    present: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let mut elements = into_list(present);
    let count = elements.len();
    let mut known: HashMap<String, usize> = HashMap::with_capacity(elements.len());
    for (at, element) in elements.iter().enumerate() {
        known.entry(identity(attribute, element)).or_insert(at);
    }
    let mut primary = None;
    for element in into_list(given) {
        let raised = is_primary(&element);
        let at = *known.entry(identity(attribute, &element)).or_insert(elements.len());
        match (elements.get_mut(at), element) {
            (None, element) => elements.push(element),
            (Some(there), Value::Object(object)) => {
                let parts = into_object(Some(there.take()));
                *there = Value::Object(merge(attribute, Op::Add, object, parts, path)?);
            }
            (Some(_), _) => {}
        }
        if raised {
            primary = Some(at);
        }
    }
    if elements.len() > count {
        check_count(&elements, path)?;
    }
    if let Some(primary) = primary {
        demote_others(&mut elements, primary);
    }
    Ok(from_list(elements))
}

/// The elements without those in a list (not in RFC 7644; Microsoft Entra removes members so).
///
/// A listed element with a `value` is matched by its `value`, any other by all its sub-attributes.
fn remove_listed(
    attribute: &Attribute,
    listed: Value,
    present: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let listed = into_list(Canonical::for_removal().attribute(attribute, listed, path)?);
    let by_value =
        |element: &Value| element.get(VALUE).map(|_| key(attribute, element, |name| name == VALUE));
    let whole = |element: &Value| key(attribute, element, |_| true);
    let (mut values, mut wholes) = (HashSet::new(), HashSet::new());
    for element in &listed {
        match by_value(element) {
            Some(value) => values.insert(value),
            None => wholes.insert(whole(element)),
        };
    }
    let mut elements = into_list(present);
    elements.retain(|element| {
        let named = by_value(element).is_some_and(|value| values.contains(&value));
        !named && (wholes.is_empty() || !wholes.contains(&whole(element)))
    });
    Ok(from_list(elements))
}

/// Applies an operation to one sub-attribute of a singular complex attribute.
pub(super) fn part(
    attribute: &Attribute,
    sub_attribute: &Attribute,
    op: Op,
    value: Option<Value>,
    present: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let mut parts = into_object(present);
    if sub_attribute.name == VALUE {
        match value.filter(|value| op != Op::Remove && !is_blank(value)) {
            Some(value) if !value.is_null() => {
                let object = Map::from_iter([(VALUE.to_owned(), value)]);
                let path = path.strip_suffix(".value").unwrap_or(path);
                return merge_singular(attribute, op, object, Some(Value::Object(parts)), path);
            }
            Some(_) if op == Op::Add => {}
            _ => {
                // Without the `value`, the remaining sub-attributes describe nothing.
                let value = parts.get(VALUE).cloned();
                guarded(sub_attribute, op, path, value, |_| Ok(None))?;
                parts.clear();
            }
        }
    } else {
        set_part(&mut parts, sub_attribute, op, value, path)?;
    }
    Ok(from_object(parts))
}

/// Puts the members of an object into a singular complex value.
///
/// Another `value` refers to another item, so the sub-attributes of the old one are removed: a new
/// manager does not keep the old one's `$ref`.
fn merge_singular(
    attribute: &Attribute,
    op: Op,
    object: Map<String, Value>,
    present: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let before = into_object(present);
    let after = merge(attribute, op, object.clone(), before.clone(), path)?;
    if before.get(VALUE).is_none() || before.get(VALUE) == after.get(VALUE) {
        return Ok(from_object(after));
    }
    let lasting = |name: &str| {
        attribute
            .sub_attribute(name)
            .is_some_and(|sub_attribute| sub_attribute.mutability == Mutability::Immutable)
    };
    let kept = before.into_iter().filter(|(name, _)| lasting(name)).collect();
    merge(attribute, op, object, kept, path).map(from_object)
}

/// Puts the members of an object into a complex value or element: those that are given, and no
/// others, change.
pub(super) fn merge(
    attribute: &Attribute,
    op: Op,
    object: Map<String, Value>,
    mut into: Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>, ScimError> {
    let mut given = InputObject::new(object);
    for sub_attribute in &attribute.sub_attributes {
        if let Some(value) = given.take(&sub_attribute.name) {
            let path = format!("{path}.{}", sub_attribute.name);
            set_part(&mut into, sub_attribute, op, Some(value), &path)?;
        }
    }
    Ok(into)
}

/// Applies an operation to one part of a complex value or element.
pub(super) fn set_part(
    parts: &mut Map<String, Value>,
    sub_attribute: &Attribute,
    op: Op,
    value: Option<Value>,
    path: &str,
) -> Result<(), ScimError> {
    let present = parts.get_mut(&sub_attribute.name).map(Value::take);
    match whole(sub_attribute, op, value, present, path)? {
        Some(value) => {
            parts.insert(sub_attribute.name.clone(), value);
        }
        None => {
            parts.shift_remove(&sub_attribute.name);
        }
    }
    Ok(())
}

pub(super) fn canonical() -> Canonical {
    Canonical::new(Exchange::Patch)
}

pub(super) fn set_once(path: &str) -> ScimError {
    ScimError::mutability(format!("\"{path}\" can't be changed once it is set."))
}

/// Whether a value adds nothing: null, an empty list, an empty object.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

pub(super) fn into_object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

pub(super) fn from_object(object: Map<String, Value>) -> Option<Value> {
    (!object.is_empty()).then_some(Value::Object(object))
}
