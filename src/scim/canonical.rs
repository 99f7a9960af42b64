//! Canonicalization: the conversion of a client's value to the stored form.
//!
//! Values come in the shape of their attributes, which [`super::shape`] gives them; a value in
//! another shape is refused.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::attribute::{Attribute, CanonicalValues, Index, PRIMARY, Type, VALUE};
use super::error::ScimError;
use super::exchange::{Exchange, Incoming};
use super::json::describe;
use super::moment::Moment;
use super::value::fold;

/// The maximum length of a value of an indexed attribute, in characters.
pub(crate) const MAX_INDEXED_CHARS: usize = 512;

/// The number of characters of a value that is too long for an index.
pub(crate) fn too_long_for_index(value: &str) -> Option<usize> {
    // A text has no more characters than bytes.
    let count = if value.len() > MAX_INDEXED_CHARS { value.chars().count() } else { 0 };
    (count > MAX_INDEXED_CHARS).then_some(count)
}

/// The unread members of an object, which are found in any letter case.
pub(crate) struct InputObject {
    members: Vec<(String, Option<Value>)>,
}

impl InputObject {
    pub(crate) fn new(object: Map<String, Value>) -> Self {
        Self { members: object.into_iter().map(|(name, value)| (name, Some(value))).collect() }
    }

    /// Whether a member has a value.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_meant = |(given, value): &(String, Option<Value>)| {
            given.eq_ignore_ascii_case(name) && value.as_ref().is_some_and(|value| !value.is_null())
        };
        self.members.iter().any(is_meant)
    }

    /// Takes the value of a member.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.members
            .iter_mut()
            .find(|(given, value)| value.is_some() && given.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.take())
    }

    /// Returns the names of the members that were not taken.
    pub(crate) fn names(self, prefix: &str) -> impl Iterator<Item = String> {
        self.members
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .map(move |(name, _)| format!("{prefix}{name}"))
    }
}

/// Converts values to canonical form, for one kind of request.
pub(super) struct Canonical {
    exchange: Exchange,
    /// Ignored names, which no schema defines.
    pub(super) unknown: Vec<String>,
    /// Whether a text outside the vocabulary is left unchanged instead of refused.
    keeps_unknown_words: bool,
}

impl Canonical {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self { exchange, unknown: Vec::new(), keeps_unknown_words: false }
    }

    /// Returns a converter for values to be removed: an unknown value matches nothing and is no
    /// error.
    pub(super) fn for_removal() -> Self {
        Self { keeps_unknown_words: true, ..Self::new(Exchange::Patch) }
    }

    /// Converts the values of `attributes` and moves them from `given` to `into`.
    ///
    /// # Errors
    ///
    /// `invalidSyntax` for a wrong JSON type; `invalidValue` for a value that is missing or unfit.
    pub(super) fn take_all<'a>(
        &mut self,
        attributes: impl Iterator<Item = &'a Attribute>,
        given: &mut InputObject,
        prefix: &str,
        into: &mut Map<String, Value>,
    ) -> Result<(), ScimError> {
        for attribute in attributes {
            let value = given.take(&attribute.name);
            let incoming = self.exchange.incoming(attribute.mutability);
            if incoming == Incoming::Ignored {
                continue;
            }
            let path = format!("{prefix}{}", attribute.name);
            let canonical = match value {
                Some(value) => self.attribute(attribute, value, &path)?,
                None => None,
            };
            match canonical {
                None if attribute.required => return Err(required(&path)),
                Some(value) if incoming != Incoming::CheckedOnly => {
                    into.insert(attribute.name.clone(), value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Converts the whole value of an attribute; `None` if the input represents no value.
    ///
    /// # Errors
    ///
    /// As [`Canonical::take_all`]; `path` names the place.
    pub(super) fn attribute(
        &mut self,
        attribute: &Attribute,
        value: Value,
        path: &str,
    ) -> Result<Option<Value>, ScimError> {
        if !attribute.multi_valued {
            return self.single(attribute, value, path);
        }
        let elements = match value {
            Value::Null => return Ok(None),
            Value::Array(elements) => elements,
            other => return Err(wrong_type(path, "an array", &other)),
        };
        let mut canonical = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let place = format!("{path}[{index}]");
            canonical.extend(self.single(attribute, element, &place)?);
        }
        drop_repeated(attribute, &mut canonical);
        check_primary(&canonical, path)?;
        Ok((!canonical.is_empty()).then_some(Value::Array(canonical)))
    }

    /// Converts a singular value, or one element of a multi-valued attribute.
    ///
    /// # Errors
    ///
    /// As [`Canonical::take_all`]; `path` names the place.
    pub(super) fn single(
        &mut self,
        attribute: &Attribute,
        value: Value,
        path: &str,
    ) -> Result<Option<Value>, ScimError> {
        if attribute.kind != Type::Complex {
            return simple(attribute, value, path, self.keeps_unknown_words);
        }
        let Some(object) = self.object(attribute, value, path)? else { return Ok(None) };
        let mut given = InputObject::new(object);
        let mut canonical = Map::new();
        let prefix = format!("{path}.");
        self.take_all(attribute.sub_attributes.iter(), &mut given, &prefix, &mut canonical)?;
        self.unknown.extend(given.names(&prefix));
        Ok((!canonical.is_empty()).then_some(Value::Object(canonical)))
    }

    /// Returns the object for a complex attribute or one of its elements, with the members as they
    /// were sent. `None` if the input represents no value.
    ///
    /// # Errors
    ///
    /// `invalidSyntax` for another JSON type.
    pub(super) fn object(
        &self,
        attribute: &Attribute,
        value: Value,
        path: &str,
    ) -> Result<Option<Map<String, Value>>, ScimError> {
        let is_single = !attribute.multi_valued && attribute.sub_attribute(VALUE).is_some();
        match value {
            Value::Null => Ok(None),
            Value::Object(object) if is_single && object.iter().any(is_blank_value) => Ok(None),
            Value::Object(object) => Ok(Some(object)),
            other => Err(wrong_type(path, "an object", &other)),
        }
    }
}

/// Removes duplicates from values with synonyms, such as a name and an id of one item.
pub(super) fn drop_repeated(attribute: &Attribute, elements: &mut Vec<Value>) {
    let value = attribute.sub_attribute(VALUE);
    if value.is_some_and(|value| value.vocabulary.is_some()) {
        let mut seen = HashSet::new();
        elements.retain(|element| {
            element
                .get(VALUE)
                .and_then(Value::as_str)
                .is_none_or(|value| seen.insert(value.to_owned()))
        });
    }
}

fn is_blank_value((name, value): (&String, &Value)) -> bool {
    name.eq_ignore_ascii_case(VALUE) && is_blank(value)
}

/// Whether this is a text without a visible character.
pub(super) fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Whether an element is marked as the preferred one.
pub(super) fn is_primary(element: &Value) -> bool {
    element.get(PRIMARY) == Some(&Value::Bool(true))
}

/// Checks that one element at most is primary (RFC 7643, section 2.4).
///
/// # Errors
///
/// `invalidValue`.
pub(super) fn check_primary(elements: &[Value], path: &str) -> Result<(), ScimError> {
    let primaries = elements.iter().filter(|element| is_primary(element)).count();
    if primaries > 1 {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" has {primaries} primary values; at most one is allowed."
        )));
    }
    Ok(())
}

fn simple(
    attribute: &Attribute,
    value: Value,
    path: &str,
    keeps_unknown_words: bool,
) -> Result<Option<Value>, ScimError> {
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Type::Boolean, Value::Bool(flag)) => Ok(Some(Value::Bool(flag))),
        (Type::Boolean, other) => Err(wrong_type(path, "a boolean", &other)),
        (Type::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Ok(Some(Value::Number(number)))
        }
        (Type::Integer, other) => Err(wrong_type(path, "a whole number", &other)),
        (Type::Decimal, Value::Number(number)) => Ok(Some(Value::Number(number))),
        (Type::Decimal, other) => Err(wrong_type(path, "a number", &other)),
        (_, Value::String(text)) => {
            check_text(attribute, &text, path)?;
            let blank = attribute.required && text.trim().is_empty();
            match &attribute.vocabulary {
                _ if blank => Ok(None),
                Some(_) if text.trim().is_empty() => Ok(None),
                Some(vocabulary) => match vocabulary.canonical(&text) {
                    Err(_) if keeps_unknown_words => Ok(Some(Value::String(text))),
                    canonical => canonical.map(|text| Some(text.into())),
                },
                None => Ok(Some(Value::String(text))),
            }
        }
        (_, other) => Err(wrong_type(path, "a string", &other)),
    }
}

fn check_text(attribute: &Attribute, text: &str, path: &str) -> Result<(), ScimError> {
    let indexed = attribute.is_unique() || attribute.index == Index::Equality;
    let forbidden = |c: char| c.is_control() && (indexed || !matches!(c, '\t' | '\n' | '\r'));
    if let Some(control) = text.chars().find(|&c| forbidden(c)) {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" contains the control character U+{:04X}.",
            u32::from(control)
        )));
    }
    if let Some(count) = too_long_for_index(text).filter(|_| indexed) {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" has {count} characters; at most {MAX_INDEXED_CHARS} are allowed."
        )));
    }
    if attribute.kind == Type::DateTime && Moment::parse(text).is_none() {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" must be a date and time such as \"2026-03-01T08:15:00Z\"."
        )));
    }
    let same = |known: &String| match attribute.case_exact {
        true => known == text,
        false => fold(known) == fold(text),
    };
    if attribute.values == CanonicalValues::Only
        && !attribute.canonical_values.is_empty()
        && !attribute.canonical_values.iter().any(same)
    {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" must be one of {}.",
            attribute.canonical_values.join(", ")
        )));
    }
    if attribute.kind == Type::Binary && !is_base64(text) {
        return Err(ScimError::invalid_value(format!("\"{path}\" is not base64.")));
    }
    Ok(())
}

/// Whether a text could be base64 in either alphabet (RFC 4648, sections 4 and 5).
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && body.len() % 4 != 1
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
}

/// `schemas` must be a text or a list of texts. Which ones is not enforced: clients send outdated
/// URNs, and the endpoint already says what the body is.
///
/// # Errors
///
/// `invalidSyntax`.
pub(super) fn check_schemas(value: Option<Value>) -> Result<(), ScimError> {
    match value {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(Value::Array(urns)) => match urns.iter().find(|urn| !urn.is_string()) {
            None => Ok(()),
            Some(other) => Err(wrong_type("schemas", "an array of strings", other)),
        },
        Some(other) => Err(wrong_type("schemas", "an array of strings", &other)),
    }
}

/// Returns the error for a required attribute without a value.
pub(super) fn required(path: &str) -> ScimError {
    ScimError::invalid_value(format!("\"{path}\" is required."))
}

/// Returns the error for a wrong JSON type.
pub(crate) fn wrong_type(path: &str, expected: &str, found: &Value) -> ScimError {
    ScimError::invalid_syntax(format!("\"{path}\" must be {expected}, not {}.", describe(found)))
}
