//! What an event tells besides what happened to whom: names, and what was changed, within bounds.
//!
//! The whole change is in the journal anyway, as keys and values for machines. This is the part that
//! people read, so it is cut: an audit trail must not grow with what one request can carry.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RefusedRequests;

/// How many bytes of JSON one value may take.
const VALUE_BYTES: usize = 256;
/// How many differences are told.
const DIFFERENCES: usize = 50;
/// How many bytes all of them may take, about.
const ALL_BYTES: usize = 8 * 1024;
/// How many elements of a list are told.
const ELEMENTS: usize = 10;
/// What stands at the end of a value that was cut.
const CUT: &str = "…";

/// What is told of an event besides what happened to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// The name of the subject at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Difference>,
    /// How many more attributes were changed than are told of.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
    /// Requests that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusedRequests>,
    /// How many more requests were refused than are told of.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Details {
    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What was changed in a subject of that name, as much of it as is told.
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

/// What was changed in one attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// The path of the attribute, as in `name.familyName`.
    pub attribute: String,
    /// Its value until then, if it is single-valued and had one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// Its value from then on, if it is single-valued and has one.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
    /// Elements of a list that are gone.
    #[serde(skip_serializing_if = "Elements::is_empty")]
    pub removed: Elements,
    /// Elements of a list that are new.
    #[serde(skip_serializing_if = "Elements::is_empty")]
    pub added: Elements,
    /// Whether its values are not for anybody to see.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// A value that is there, also if it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Difference {
    /// A single value became another.
    pub fn values(
        attribute: impl Into<String>,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Self {
        let attribute = attribute.into();
        Self { attribute, before: before.map(cut), after: after.map(cut), ..Self::default() }
    }

    /// Elements of a list are gone, others are new.
    pub fn elements(attribute: impl Into<String>, removed: Elements, added: Elements) -> Self {
        Self { attribute: attribute.into(), removed, added, ..Self::default() }
    }

    /// Something was changed that nobody may see.
    pub fn hidden(attribute: impl Into<String>) -> Self {
        Self { attribute: attribute.into(), hidden: true, ..Self::default() }
    }

    /// How many bytes of JSON it takes, about.
    fn bytes(&self) -> usize {
        const NAMES: usize = 64;
        let values = self.before.iter().chain(&self.after);
        let elements = self.removed.first.iter().chain(&self.added.first);
        NAMES + self.attribute.len() + values.chain(elements).map(bytes).sum::<usize>()
    }
}

/// Elements of a list: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elements {
    /// How many there are.
    pub count: u64,
    /// The first.
    pub first: Vec<Value>,
}

impl Elements {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether one more is told, and not only counted.
    pub fn has_room(&self) -> bool {
        self.first.len() < ELEMENTS
    }

    /// Notes one more.
    pub fn note(&mut self, element: &Value) {
        if self.has_room() {
            self.first.push(cut(element));
        }
        self.count += 1;
    }

    /// Notes one more that is only counted.
    pub fn count(&mut self) {
        self.count += 1;
    }
}

/// A value, or the beginning of its text if it is long.
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

/// How many bytes of JSON a value takes, about: what is escaped counts once.
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
