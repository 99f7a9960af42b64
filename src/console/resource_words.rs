//! Users and groups as pages show them.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The longest raw resource that is shown whole, in bytes.
const MAX_RAW: usize = 40_000;
/// The most elements of a list that are shown.
pub(super) const MAX_ELEMENTS: usize = 100;

/// A text of a resource; empty if it has none.
pub(super) fn text(resource: &Map<String, Value>, path: &[&str]) -> String {
    let (first, rest) = path.split_first().unzip();
    let value = first.and_then(|name| resource.get(*name));
    let value = rest.into_iter().flatten().try_fold(value, |value, name| Some(value?.get(name)));
    value.flatten().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A moment of `meta`.
pub(super) fn moment_of(resource: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    text(resource, &["meta", name]).parse().ok()
}

/// The attributes of a resource with their values, one value on a line; without those that are shown elsewhere.
pub(super) fn attributes(
    resource: &Map<String, Value>,
    shown: &[&str],
) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for (name, value) in resource.iter().filter(|(name, _)| !shown.contains(&name.as_str())) {
        match value {
            Value::Object(parts) if name.starts_with("urn:") => {
                all.extend(parts.iter().map(|(part, value)| (part.clone(), values(value))));
            }
            value => all.push((name.clone(), values(value))),
        }
    }
    all
}

fn values(value: &Value) -> Vec<String> {
    match value {
        Value::Array(elements) => {
            let mut values: Vec<String> =
                elements.iter().take(MAX_ELEMENTS).map(in_words).collect();
            if elements.len() > MAX_ELEMENTS {
                values.push(format!("{} more", elements.len() - MAX_ELEMENTS));
            }
            values
        }
        single => vec![in_words(single)],
    }
}

/// A text as it is; of an object its value and what is said of it, else its parts.
fn in_words(value: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
    match value {
        Value::Object(parts) => match parts.get("value") {
            Some(found) => {
                let kind = parts.get("type").and_then(Value::as_str);
                let primary = parts.get("primary") == Some(&Value::Bool(true));
                let notes: Vec<&str> =
                    kind.into_iter().chain(primary.then_some("primary")).collect();
                match notes.is_empty() {
                    true => plain(found),
                    false => format!("{} ({})", plain(found), notes.join(", ")),
                }
            }
            None => {
                let parts = parts.iter().map(|(name, part)| format!("{name}: {}", plain(part)));
                parts.collect::<Vec<_>>().join(", ")
            }
        },
        other => plain(other),
    }
}

/// The resource as SCIM serves it, cut where it is long: lists after their first elements, then the text.
pub(super) fn raw(resource: &Map<String, Value>) -> String {
    let mut resource = resource.clone();
    for value in resource.values_mut() {
        if let Value::Array(elements) = value
            && elements.len() > MAX_ELEMENTS
        {
            let more = elements.len() - MAX_ELEMENTS;
            elements.truncate(MAX_ELEMENTS);
            elements.push(Value::from(format!("and {more} more")));
        }
    }
    let mut text = serde_json::to_string_pretty(&resource).unwrap_or_default();
    if text.len() > MAX_RAW {
        let end = (0..=MAX_RAW).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push_str("\n…");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_in_words() {
        let user = json!({"id": "1", "emails": [{"value": "a@b", "type": "work", "primary": true}],
            "name": {"givenName": "Ada", "familyName": "L"}, "active": true,
            "urn:x:User": {"department": "bi"}});
        let user = user.as_object().unwrap();
        let shown: Vec<String> = attributes(user, &["id"])
            .into_iter()
            .map(|(name, values)| format!("{name}={}", values.join("|")))
            .collect();
        for expected in [
            "emails=a@b (work, primary)",
            "name=givenName: Ada, familyName: L",
            "active=true",
            "department=bi",
        ] {
            assert!(shown.contains(&expected.to_owned()), "{expected} in {shown:?}");
        }
        assert_eq!(text(user, &["name", "givenName"]), "Ada");
        assert_eq!(text(user, &["name", "none"]), "");
    }

    #[test]
    fn a_large_resource_is_cut() {
        let many: Vec<Value> = (0..1_000).map(|number| json!({"value": number})).collect();
        let group = json!({"members": many, "x": "é".repeat(50_000)});
        let raw = raw(group.as_object().unwrap());
        assert!(raw.contains("and 900 more") && raw.len() < MAX_RAW + 10 && raw.ends_with('…'));
    }
}
