//! Whether an answer is what a file expects: every member that the file names, and as it names it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// Stands at the end of a list that may be longer.
const MORE: &str = "...";

/// Texts by the names under which a file refers to them, as in `{ada}`.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    pub(super) fn set(&mut self, name: &str, text: impl Into<String>) {
        self.0.insert(name.to_owned(), text.into());
    }

    /// Puts what `{name}` stands for into a text. Braces around anything but a name are left.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            rest = match after.split_once('}').filter(|(name, _)| is_name(name)) {
                Some((name, behind)) => {
                    let known = self.0.get(name);
                    filled.push_str(known.ok_or_else(|| format!("nothing is called {{{name}}}"))?);
                    behind
                }
                None => {
                    filled.push('{');
                    after
                }
            };
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The same for every text in a value.
    pub(super) fn fill_all(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text)?),
            Value::Array(items) => Value::Array(
                items.iter().map(|item| self.fill_all(item)).collect::<Result<_, _>>()?,
            ),
            Value::Object(members) => {
                let filled =
                    |(name, value): (&String, &Value)| Ok((name.clone(), self.fill_all(value)?));
                Value::Object(members.iter().map(filled).collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(fits)
}

/// Compares an answer with what is expected of it.
pub(super) struct Comparison<'a> {
    pub(super) names: &'a mut Names,
    /// What is not as it should be.
    pub(super) problems: Vec<String>,
}

impl Comparison<'_> {
    /// Notes where `found` is not what `expected` says, and keeps what it names: what stands first in
    /// `expected` may be referred to in what follows.
    pub(super) fn compare(&mut self, expected: &Value, found: Option<&Value>, place: &str) {
        match (expected, found) {
            (Value::String(text), _) => self.compare_text(text, found, place),
            (Value::Object(members), Some(Value::Object(object))) => {
                for (name, expected) in members {
                    self.compare(expected, object.get(name), &format!("{place}/{name}"));
                }
            }
            (Value::Array(items), Some(Value::Array(found))) if fits(items, found.len()) => {
                let items = items.iter().filter(|item| *item != MORE);
                for (index, (item, element)) in items.zip(found).enumerate() {
                    self.compare(item, Some(element), &format!("{place}/{index}"));
                }
            }
            (_, Some(found)) if expected == found => {}
            _ => self.wrong(&expected.to_string(), found, place),
        }
    }

    fn compare_text(&mut self, text: &str, found: Option<&Value>, place: &str) {
        let text = match self.names.fill(text) {
            Ok(text) => text,
            Err(problem) => return self.problems.push(format!("{place}: {problem}")),
        };
        let Some(kind) = text.strip_prefix('<').and_then(|kind| kind.strip_suffix('>')) else {
            let expected = Value::from(text);
            if found != Some(&expected) {
                self.wrong(&expected.to_string(), found, place);
            }
            return;
        };
        match is_of_kind(kind, found, self.names) {
            Some(true) => {}
            Some(false) => self.wrong(&text, found, place),
            None => self.problems.push(format!("{place}: nobody knows what {text} means")),
        }
    }

    fn wrong(&mut self, expected: &str, found: Option<&Value>, place: &str) {
        let found = found.map_or_else(|| "absent".to_owned(), Value::to_string);
        self.problems.push(format!("{place} is {found}, not {expected}"));
    }
}

/// Whether a list of so many elements may be what is expected.
fn fits(items: &[Value], length: usize) -> bool {
    match items.split_last() {
        Some((last, items)) if last == MORE => items.len() <= length,
        _ => items.len() == length,
    }
}

/// Whether a value is of a kind; `None` if there is no such kind.
fn is_of_kind(kind: &str, found: Option<&Value>, names: &mut Names) -> Option<bool> {
    let text = found.and_then(Value::as_str);
    if let Some(part) = kind.strip_prefix("text with ") {
        return Some(text.is_some_and(|text| text.contains(part)));
    }
    let (kind, name) = match kind.split_once(": ") {
        Some((kind, name)) if is_name(name) => (kind, Some(name)),
        Some(_) => return None,
        None => (kind, None),
    };
    let fits = match kind {
        "absent" => found.is_none(),
        "text" => text.is_some_and(|text| !text.is_empty()),
        "uuid" => text.is_some_and(|text| text.parse::<Uuid>().is_ok()),
        "moment" => text.is_some_and(|text| text.parse::<Timestamp>().is_ok()),
        "number" => found.is_some_and(Value::is_number),
        "list" => found.is_some_and(Value::is_array),
        _ => return None,
    };
    if let (Some(name), Some(text)) = (name, text) {
        names.set(name, text);
    }
    Some(fits)
}

#[test]
fn an_answer_has_all_that_is_expected_and_may_have_more() {
    use serde_json::json;
    let mut names = Names::default();
    let found = json!({"id": "0198c5a4-0000-7000-8000-000000000000", "n": 1, "at": "2026-03-01T08:15:00Z",
        "list": [{"a": 1, "b": 2}, {"a": 3}], "word": "There is no x here."});
    let mut problems = |expected: Value| {
        let mut comparison = Comparison { names: &mut names, problems: Vec::new() };
        comparison.compare(&expected, Some(&found), "");
        comparison.problems
    };
    for fits in [
        json!({"id": "<uuid: ada>", "at": "<moment>", "n": "<number>", "list": "<list>"}),
        json!({"list": [{"b": 2}, "..."]}),
        json!({"list": [{"b": 2}, {}], "x": "<absent>", "word": "<text with no x>"}),
    ] {
        assert_eq!(problems(fits), [""; 0]);
    }
    for (expected, problem) in [
        (json!({"n": 2}), "/n is 1, not 2"),
        (json!({"n": "1"}), "/n is 1, not \"1\""),
        (json!({"n": "<absent>"}), "/n is 1, not <absent>"),
        (json!({"x": {}}), "/x is absent, not {}"),
        (json!({"word": "<uuid>"}), "/word is \"There is no x here.\", not <uuid>"),
        (json!({"word": "<text with y>"}), "/word is \"There is no x here.\", not <text with y>"),
        (json!({"list": [{}]}), "/list is [{\"a\":1,\"b\":2},{\"a\":3}], not [{}]"),
        (json!({"list": [{"a": 3}, "..."]}), "/list/0/a is 1, not 3"),
        (json!({"list": [{}, {"b": 2}]}), "/list/1/b is absent, not 2"),
        (json!({"n": "<numbre>"}), "/n: nobody knows what <numbre> means"),
    ] {
        assert_eq!(problems(expected), [problem]);
    }
    assert_eq!(
        names.fill("{ada}{\"{\"a\"}").unwrap(),
        "0198c5a4-0000-7000-8000-000000000000{\"{\"a\"}"
    );
    assert_eq!(names.fill("/Users/{bob}").unwrap_err(), "nothing is called {bob}");
}
