//! The elements of a multi-valued attribute: which are the same, which is primary, how many.

use serde_json::Value;

use super::MAX_ELEMENTS;
use crate::scim::attribute::{Attribute, PRIMARY, Type, VALUE};
use crate::scim::canonical::is_primary;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::value::fold;

pub(super) fn check_count(elements: &[Value], path: &str) -> Result<(), ScimError> {
    if elements.len() > MAX_ELEMENTS {
        return Err(ScimError::new(
            ScimType::TooMany,
            format!(
                "\"{path}\" would have {} values; at most {MAX_ELEMENTS} are allowed.",
                elements.len()
            ),
        ));
    }
    Ok(())
}

/// Makes one element the only primary one (RFC 7644, section 3.5.2).
pub(super) fn demote_others(elements: &mut [Value], primary: usize) {
    for (at, element) in elements.iter_mut().enumerate() {
        if at != primary
            && is_primary(element)
            && let Value::Object(parts) = element
        {
            parts.insert(PRIMARY.to_owned(), Value::Bool(false));
        }
    }
}

/// Returns the identity of an element: its `value` and `type`, or all sub-attributes if it has no
/// `value`. A value from a vocabulary is one item regardless of its type.
pub(super) fn identity(attribute: &Attribute, element: &Value) -> String {
    let has_value = element.get(VALUE).is_some();
    let value = attribute.sub_attribute(VALUE);
    let by_type = value.is_none_or(|value| value.vocabulary.is_none());
    key(attribute, element, |name| !has_value || name == VALUE || (by_type && name == "type"))
}

/// The named parts of an element as one text, equal for what is equal by the rules of the schema. An
/// element that is not primary is equal to one that does not say so (RFC 7643, section 2.4).
pub(super) fn key(attribute: &Attribute, element: &Value, named: impl Fn(&str) -> bool) -> String {
    if attribute.kind != Type::Complex {
        return comparable(attribute, element);
    }
    let mut key = String::new();
    for part in attribute.sub_attributes.iter().filter(|part| named(&part.name)) {
        let says = |value: &&Value| part.name != PRIMARY || **value != Value::Bool(false);
        if let Some(value) = element.get(&part.name).filter(says) {
            key.push_str(&part.name);
            key.push('=');
            key.push_str(&comparable(part, value));
            key.push('\u{0}');
        }
    }
    key
}

fn comparable(attribute: &Attribute, value: &Value) -> String {
    match value.as_str() {
        Some(text) if !attribute.case_exact => fold(text).into_owned(),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

pub(super) fn into_list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    }
}

pub(super) fn from_list(elements: Vec<Value>) -> Option<Value> {
    (!elements.is_empty()).then_some(Value::Array(elements))
}
