//! The details of an event: names and changed values, within size limits.
//!
//! The change log holds the whole change as keys and values. The details are for people and are
//! truncated, so that the size of one request does not determine the size of an audit record.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RefusedRequests;

/// The maximum size of one value, in bytes of JSON.
const VALUE_BYTES: usize = 256;
/// The maximum number of differences.
const DIFFERENCES: usize = 50;
/// The approximate maximum size of all differences, in bytes.
const ALL_BYTES: usize = 8 * 1024;
/// The maximum number of list elements that are recorded.
const ELEMENTS: usize = 10;
/// The mark at the end of a truncated value.
const CUT: &str = "…";

/// The details of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// The name of the subject at the time of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The changed attributes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Difference>,
    /// The number of changed attributes that are not listed in `changes`.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
    /// The refused requests, by reason and source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusedRequests>,
    /// The id of the request that made the change, as in the request log; `None` for changes that no client made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The number of refused requests that are not listed in `refusals`.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Details {
    /// Whether there are no details.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the details of changes to the subject `name`, within the size limits.
    pub fn of(name: Option<String>, changes: impl IntoIterator<Item = Difference>) -> Self {
        let mut details = Self { name: name.map(shortened), ..Self::default() };
        let mut bytes = 0;
        for change in changes {
            bytes += change.bytes();
            if details.changes.len() < DIFFERENCES && bytes <= ALL_BYTES {
                details.changes.push(change);
            } else {
                details.more += 1;
            }
        }
        details
    }
}

/// The change of one attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// The path of the attribute, as in `name.familyName`.
    pub attribute: String,
    /// The previous value of a single-valued attribute, if it had one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// The new value of a single-valued attribute, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
    /// The removed elements of a list.
    #[serde(skip_serializing_if = "Elements::is_empty")]
    pub removed: Elements,
    /// The added elements of a list.
    #[serde(skip_serializing_if = "Elements::is_empty")]
    pub added: Elements,
    /// Whether the values are withheld, because the attribute is never returned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// Deserializes a present value; `null` becomes `Some(Value::Null)`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Difference {
    /// Returns the change of a single value.
    pub fn values(
        attribute: impl Into<String>,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Self {
        let attribute = attribute.into();
        Self { attribute, before: before.map(cut), after: after.map(cut), ..Self::default() }
    }

    /// Returns the change of a list.
    pub fn elements(attribute: impl Into<String>, removed: Elements, added: Elements) -> Self {
        Self { attribute: attribute.into(), removed, added, ..Self::default() }
    }

    /// Returns the change of an attribute whose values are withheld.
    pub fn hidden(attribute: impl Into<String>) -> Self {
        Self { attribute: attribute.into(), hidden: true, ..Self::default() }
    }

    /// The approximate size, in bytes of JSON.
    fn bytes(&self) -> usize {
        const NAMES: usize = 64;
        let values = self.before.iter().chain(&self.after);
        let elements = self.removed.first.iter().chain(&self.added.first);
        NAMES + self.attribute.len() + values.chain(elements).map(bytes).sum::<usize>()
    }
}

/// List elements: their number, and the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// The number of elements.
    pub count: u64,
    /// The first elements, at most ten.
    pub first: Vec<Value>,
}

impl Elements {
    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the next element is recorded, and not only counted.
    pub fn has_room(&self) -> bool {
        self.first.len() < ELEMENTS
    }

    /// Adds an element; it is recorded while there is room.
    pub fn note(&mut self, element: &Value) {
        if self.has_room() {
            self.first.push(cut(element));
        }
        self.count += 1;
    }

    /// Counts an element without recording it.
    pub fn count(&mut self) {
        self.count += 1;
    }
}

/// Returns the value, truncated if it is long.
fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if bytes(value) > VALUE_BYTES => Value::String(shortened(text.clone())),
        Value::Array(_) | Value::Object(_) if bytes(value) > VALUE_BYTES => {
            Value::String(shortened(value.to_string()))
        }
        short => short.clone(),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > VALUE_BYTES {
        text.truncate(text.floor_char_boundary(VALUE_BYTES - CUT.len()));
        text.push_str(CUT);
    }
    text
}

/// The approximate size of a value in bytes of JSON; escapes are not counted.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(elements) => elements.iter().map(|element| bytes(element) + 1).sum::<usize>(),
        Value::Object(parts) => {
            parts.iter().map(|(name, part)| name.len() + 4 + bytes(part)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_values_are_cut_with_a_mark_and_short_ones_are_whole() {
        let long = "ä".repeat(1_000);
        let told = Difference::values("title", Some(&json!(long)), Some(&json!("short")));
        let before = told.before.unwrap();
        let before = before.as_str().unwrap();
        assert!(before.ends_with("ä…") && before.len() <= VALUE_BYTES, "{}", before.len());
        assert_eq!(told.after, Some(json!("short")));
        let object = json!({"value": long});
        assert!(cut(&object).as_str().unwrap().starts_with("{\"value\":\"ää"));
        assert_eq!(cut(&json!({"value": 1})), json!({"value": 1}));
    }

    #[test]
    fn all_that_is_told_is_bounded_and_the_rest_is_counted() {
        let change = |text: &str| Difference::values("a", None, Some(&json!(text)));
        let many = Details::of(None, (0..1_000).map(|_| change("x")));
        assert_eq!((many.changes.len(), many.more), (DIFFERENCES, 1_000 - DIFFERENCES as u64));
        let large =
            Details::of(Some("n".repeat(9_000)), (0..1_000).map(|_| change(&"x".repeat(9_000))));
        let size = serde_json::to_vec(&large).unwrap().len();
        assert!(size < ALL_BYTES + 2 * VALUE_BYTES, "{size}");
        assert_eq!(large.changes.len() as u64 + large.more, 1_000);
        let mut elements = Elements::default();
        (0..500).for_each(|number| elements.note(&json!(number)));
        assert_eq!((elements.count, elements.first.len()), (500, ELEMENTS));
    }

    #[test]
    fn what_is_told_reads_back() {
        let mut added = Elements::default();
        added.note(&json!({"value": "1", "display": "ada"}));
        let changes = [
            Difference::values("active", Some(&json!(true)), Some(&json!(false))),
            Difference::values("x", Some(&Value::Null), None),
            Difference::elements("members", Elements::default(), added),
            Difference::hidden("pin"),
        ];
        let details = Details::of(Some("ada".to_owned()), changes);
        let text = serde_json::to_string(&details).unwrap();
        assert_eq!(
            text,
            r#"{"name":"ada","changes":[{"attribute":"active","before":true,"after":false},{"attribute":"x","before":null},{"attribute":"members","added":{"count":1,"first":[{"value":"1","display":"ada"}]}},{"attribute":"pin","hidden":true}]}"#
        );
        assert_eq!(serde_json::from_str::<Details>(&text).unwrap(), details);
    }
}
