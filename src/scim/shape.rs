//! The shape of a body: names without URNs, and the JSON types that the schema describes.
//!
//! Only this module knows the variants that clients send for a name or a value. A variant is
//! accepted wherever the schema leaves one reading; a value without one stays as it is, and the
//! check of its type reports it.
//!
//! | sent | for | becomes |
//! | --- | --- | --- |
//! | `"urn:…:User:title"`, `"name.givenName"` | a name | the attribute, the sub-attribute |
//! | `["X"]`, `[]` | a single value | `"X"`, null |
//! | `{"value": X}`, also with other members that are null | `X` | `X` |
//! | `X` | a list | `[X]` |
//! | `X` | an object with a `value` | `{"value": X}` |
//! | `"False"`, `"7"` | a boolean, a number | `false`, `7` |

use std::collections::VecDeque;

use serde_json::{Map, Number, Value};

use super::attribute::{Attribute, Type, VALUE};
use super::canonical::{is_blank, wrong_type};
use super::error::ScimError;
use super::json::member_mut;
use super::path;
use super::schema::ResourceType;

/// Returns the body of a POST or PUT with plain names and with values in the shape of their
/// attributes.
///
/// # Errors
///
/// `invalidSyntax` if it names one attribute twice, as in `"title"` and `"urn:…:User:title"`.
pub(crate) fn body(
    resource_type: &ResourceType,
    body: Map<String, Value>,
) -> Result<Map<String, Value>, ScimError> {
    let mut body = plain_names(resource_type, body)?;
    for (name, value) in &mut body {
        if let Some(attribute) = resource_type.attribute(name) {
            *value = self::value(attribute, value.take());
        } else if let Some(extension) = resource_type.extension(name) {
            *value = single(value.take());
            members(value, |name| extension.schema.attribute(name));
        }
    }
    Ok(body)
}

/// Returns the value of an attribute, with those of its sub-attributes, in the attribute's shape.
pub(crate) fn value(attribute: &Attribute, value: Value) -> Value {
    let value = if attribute.multi_valued { unwrapped(attribute, value) } else { value };
    match value {
        Value::Array(mut elements) if attribute.multi_valued => {
            for element in &mut elements {
                *element = self::element(attribute, element.take());
            }
            Value::Array(elements)
        }
        Value::Null => Value::Null,
        one if attribute.multi_valued => Value::Array(vec![element(attribute, one)]),
        one => element(attribute, one),
    }
}

/// Returns a single value, or one element of a multi-valued attribute, in the attribute's shape.
pub(super) fn element(attribute: &Attribute, value: Value) -> Value {
    let value = single(unwrapped(attribute, single(value)));
    match (attribute.kind, value) {
        (Type::Complex, value) => complex(attribute, value),
        // Some clients send booleans as words, and numbers as texts.
        (Type::Boolean, Value::String(word)) if word.eq_ignore_ascii_case("true") => true.into(),
        (Type::Boolean, Value::String(word)) if word.eq_ignore_ascii_case("false") => false.into(),
        (Type::Integer | Type::Decimal, Value::String(text)) => match text.parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(text),
        },
        (_, other) => other,
    }
}

/// Returns the value of a list of one, and null for an empty list.
pub(crate) fn single(value: Value) -> Value {
    match value {
        Value::Array(mut elements) if elements.len() <= 1 => elements.pop().unwrap_or_default(),
        other => other,
    }
}

fn complex(attribute: &Attribute, value: Value) -> Value {
    let mut value = match (attribute.sub_attribute(VALUE), value) {
        // A blank element is none; a blank single value clears what is there.
        (Some(_), blank) if attribute.multi_valued && is_blank(&blank) => Value::Null,
        (Some(part), bare) if stands_for(part, &bare) => {
            Value::Object(Map::from_iter([(part.name.clone(), bare)]))
        }
        (_, other) => other,
    };
    members(&mut value, |name| attribute.sub_attribute(name));
    value
}

/// Puts the values of known members of an object into their shapes.
fn members<'a>(value: &mut Value, attribute: impl Fn(&str) -> Option<&'a Attribute>) {
    if let Value::Object(object) = value {
        for (name, value) in object {
            if let Some(attribute) = attribute(name) {
                *value = self::value(attribute, value.take());
            }
        }
    }
}

/// Whether a bare value can be that of the sub-attribute that stands for the whole.
fn stands_for(part: &Attribute, bare: &Value) -> bool {
    match bare {
        Value::String(_) => part.kind != Type::Complex,
        Value::Number(_) => matches!(part.kind, Type::Integer | Type::Decimal),
        Value::Bool(_) => part.kind == Type::Boolean,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Returns X for `{"value": X}`, also with other members that are null, such as `"$ref": null`,
/// where the attribute has no `value` of its own.
fn unwrapped(attribute: &Attribute, value: Value) -> Value {
    let Value::Object(mut object) = value else { return value };
    let is_value = |name: &str| name.eq_ignore_ascii_case(VALUE);
    let fits = |inner: &Value| match inner {
        Value::Null | Value::Object(_) | Value::Array(_) => true,
        _ => attribute.kind != Type::Complex,
    };
    let wraps = attribute.sub_attribute(VALUE).is_none()
        && object
            .iter()
            .all(|(name, value)| if is_value(name) { fits(value) } else { value.is_null() });
    match member_mut(&mut object, VALUE) {
        Some(inner) if wraps => inner.take(),
        _ => Value::Object(object),
    }
}

/// Returns a body in which no attribute is named by a URN or a dotted path, and every extension by
/// the URN of its schema.
fn plain_names(
    resource_type: &ResourceType,
    body: Map<String, Value>,
) -> Result<Map<String, Value>, ScimError> {
    let is_qualified = |name: &str| name.contains([':', '.']);
    let is_plain = |name: &str, value: &Value| {
        let is_extension = || resource_type.extensions.iter().any(|one| one.schema.id == name);
        let plain_inside = || match value {
            Value::Object(inner) => !inner.keys().any(|name| is_qualified(name)),
            Value::Array(_) => false,
            _ => true,
        };
        !is_qualified(name) || (is_extension() && plain_inside())
    };
    if body.iter().all(|(name, value)| is_plain(name, value)) {
        return Ok(body);
    }
    let (mut plain, mut waiting) = (Map::new(), VecDeque::new());
    for (name, value) in body {
        if is_plain(&name, &value) {
            plain.insert(name, value);
        } else {
            waiting.push_back((name, value));
        }
    }
    while let Some((name, value)) = waiting.pop_front() {
        let extension = resource_type.extension(&name).map(|extension| &extension.schema);
        let is_core = resource_type.schema.is_named(&name);
        match (extension, single(value)) {
            (Some(_), Value::Null) => {}
            (Some(schema), Value::Object(members)) => {
                waiting.extend(members.into_iter().map(|(name, value)| {
                    if name.contains(':') {
                        (name, value)
                    } else {
                        (format!("{}:{name}", schema.id), value)
                    }
                }));
            }
            (Some(schema), other) => place(&mut plain, &[&schema.id], other)?,
            (None, Value::Null) if is_core => {}
            (None, Value::Object(members)) if is_core => waiting.extend(members),
            (None, other) if is_core => return Err(wrong_type(&name, "an object", &other)),
            (None, value) => match path::locate(resource_type, &name) {
                Ok(located) => {
                    let extension = located.extension.into_iter();
                    let parts = located.sub_attribute.into_iter();
                    let names: Vec<&str> = extension
                        .chain(
                            [located.attribute]
                                .into_iter()
                                .chain(parts)
                                .map(|one| one.name.as_str()),
                        )
                        .collect();
                    place(&mut plain, &names, value)?;
                }
                // No schema knows it: validation reports it.
                Err(_) => drop(plain.insert(name, value)),
            },
        }
    }
    Ok(plain)
}

/// Puts a value at a path of names into an object.
fn place(into: &mut Map<String, Value>, path: &[&str], value: Value) -> Result<(), ScimError> {
    let Some((name, rest)) = path.split_first() else { return Ok(()) };
    match (member_mut(into, name), rest) {
        (None, []) => drop(into.insert((*name).to_owned(), value)),
        (None, _) => {
            let mut inner = Map::new();
            place(&mut inner, rest, value)?;
            into.insert((*name).to_owned(), Value::Object(inner));
        }
        (Some(Value::Object(inner)), [_, ..]) => return place(inner, rest, value),
        (Some(_), _) => return Err(named_twice(name)),
    }
    Ok(())
}

/// Returns the error for one attribute under two names.
pub(super) fn named_twice(name: &str) -> ScimError {
    ScimError::invalid_syntax(format!(
        "The attribute \"{name}\" is given twice in one body (with or without its URN)."
    ))
}
