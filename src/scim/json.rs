//! JSON parsing with the restrictions that SCIM requires.
//!
//! Attribute names are case-insensitive, so `active` and `Active` in one object are a duplicate
//! name, of which one reader would use the first and another the last. Such an object is refused,
//! as is nesting deeper than any schema needs.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::ScimError;

/// The maximum nesting depth of objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// How many values any body may have, and for how many bytes it may have one more. A value takes far more memory
/// than the two bytes that it can be written in.
const FREE_VALUES: usize = 1_024;
const BYTES_PER_VALUE: usize = 8;

/// Takes a member out of an object, in any letter case; `None` if it is missing or null.
pub(crate) fn take_member(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    object.shift_remove(&key).filter(|value| !value.is_null())
}

/// Returns the value of a member of an object, in any letter case.
pub(crate) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Returns the value of a member of an object, in any letter case, for changing it.
pub(crate) fn member_mut<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Value> {
    object.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Reads a body that must be one JSON object.
///
/// # Errors
///
/// `invalidSyntax`, with line and column: not UTF-8, not JSON, not an object, nested more than
/// [`MAX_DEPTH`] deep, with a name given twice in one object, or with more values than 1,024 and one for
/// every eight bytes.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>, ScimError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        ScimError::invalid_syntax(format!(
            "The body is not UTF-8: invalid byte at position {}.",
            error.valid_up_to()
        ))
    })?;
    if text.starts_with('\u{feff}') {
        return Err(ScimError::invalid_syntax(
            "The body begins with a byte order mark, which JSON does not allow.",
        ));
    }
    if text.trim_ascii().is_empty() {
        return Err(ScimError::invalid_syntax("The body is empty; expected a JSON object."));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let left = Cell::new(FREE_VALUES + body.len() / BYTES_PER_VALUE);
    let value = AnyValue { depth: 0, left: &left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| ScimError::invalid_syntax(format!("The body is not valid: {error}.")))?;
    match value {
        Value::Object(object) => Ok(object),
        other => Err(ScimError::invalid_syntax(format!(
            "The body must be a JSON object, not {}.",
            describe(&other)
        ))),
    }
}

/// Returns the JSON type of a value with its article, for messages.
pub fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[derive(Clone, Copy)]
struct AnyValue<'a> {
    depth: usize,
    /// How many more values the body may have.
    left: &'a Cell<usize>,
}

impl AnyValue<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format!(
                "more than {FREE_VALUES} values and one for every {BYTES_PER_VALUE} bytes"
            )));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        let mut seen = HashSet::new();
        while let Some(name) = entries.next_key::<String>()? {
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(A::Error::custom(format!(
                    "the name \"{}\" is used twice in one object (letter case does not matter)",
                    name.escape_debug()
                )));
            }
            object.insert(name, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

/// Replaces the texts of a value that stand in a table, wherever they are in it.
pub(super) fn rename_texts(value: &mut Value, names: &HashMap<String, String>) {
    match value {
        Value::String(text) => rename(text, names),
        Value::Array(items) => items.iter_mut().for_each(|item| rename_texts(item, names)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| rename_texts(member, names));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Replaces a text that stands in a table.
pub fn rename(text: &mut String, names: &HashMap<String, String>) {
    if let Some(name) = names.get(text.as_str()) {
        text.clone_from(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(body: &[u8]) -> String {
        parse_object(body).expect_err("must be refused").detail
    }

    #[test]
    fn a_body_has_at_most_so_many_values_for_its_size() {
        let body = |values: usize, text: usize| {
            format!("{{\"a\":[{}],\"b\":\"{}\"}}", vec!["1"; values].join(","), "x".repeat(text))
        };
        for text in [0, 8_000] {
            // With the object, the list and the text.
            let allowed = |values: usize| 3 + values <= FREE_VALUES + body(values, text).len() / 8;
            let first = (0..).find(|values| !allowed(*values)).unwrap();
            assert!(parse_object(body(first - 1, text).as_bytes()).is_ok());
            assert!(detail(body(first, text).as_bytes()).contains("one for every 8 bytes"));
        }
    }

    #[test]
    fn an_object_is_read_in_its_order() {
        let object = parse_object(br#"{"b": [1, -2, 2.5], "a": {"x": null}}"#).unwrap();
        assert_eq!(Value::Object(object).to_string(), r#"{"b":[1,-2,2.5],"a":{"x":null}}"#);
    }

    #[test]
    fn names_given_twice_are_refused_in_any_case_and_place() {
        assert!(detail(br#"{"active":true,"Active":false}"#).contains("\"Active\" is used twice"));
        assert!(detail(br#"{"n":{"a":1,"a":1}}"#).contains("used twice"));
        assert!(detail(br#"{"n":[{"a":1,"\u0041":1}]}"#).contains("used twice"));
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| {
            format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1)).into_bytes()
        };
        assert!(parse_object(&nested(MAX_DEPTH)).is_ok());
        assert!(detail(&nested(MAX_DEPTH + 1)).contains("32 levels"));
        assert!(detail(&b"[".repeat(100_000)).contains("32 levels"));
        assert!(detail(&b"{\"a\":".repeat(100_000)).contains("32 levels"));
    }

    #[test]
    fn what_is_not_an_object_is_named() {
        assert!(detail(b"").contains("empty"));
        assert!(detail(b" \n").contains("empty"));
        assert!(detail("\u{feff}{}".as_bytes()).contains("byte order mark"));
        assert!(detail(b"[]").contains("not an array"));
        assert!(detail(b"\"x\"").contains("not a string"));
        assert!(detail(b"{\"a\":1} x").contains("trailing characters"));
        assert!(detail(b"{\"a\":\xff}").contains("not UTF-8"));
        assert!(detail(b"{\"a\":1e999}").contains("out of range"));
        assert!(detail(b"{\"a\":\"\\ud800\"}").contains("line 1 column"));
    }
}
