//! The details of a change of the shared settings for the audit trail.
//!
//! Each setting is recorded under the name that it has in the configuration file, with what was removed and
//! added for lists, and before and after for the others. [`Details`](crate::event::Details) bounds the
//! sizes.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::event::{Difference, Elements};

/// The part of the JSON that holds what the configuration file has at its top level.
const ACCESS: &str = "access";
/// The part of that which the configuration file has in its table `[access]`.
const WORDS: &str = "words";

/// The settings that differ between two canonical JSON texts, in the order of their names. Without one
/// before, everything is new.
pub(crate) fn differences(before: Option<&str>, after: &str) -> Vec<Difference> {
    let (mut before, after) = (before.map(parts).unwrap_or_default(), parts(after));
    let mut differences = Vec::new();
    for (name, new) in after {
        let old = before.remove(&name);
        if old.as_ref() != Some(&new) {
            differences.push(difference(name, old, Some(new)));
        }
    }
    differences.extend(before.into_iter().map(|(name, old)| difference(name, Some(old), None)));
    differences
}

/// The settings by the names that they have in the configuration file, less empty ones; none of a text
/// that is not JSON.
fn parts(json: &str) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    let Ok(Value::Object(whole)) = serde_json::from_str(json) else { return parts };
    let is_given = |value: &Value| !value.is_null() && *value != Value::Array(Vec::new());
    for (name, value) in whole {
        match value {
            Value::Object(access) if name == ACCESS => {
                for (name, value) in access {
                    match value {
                        Value::Object(words) if name == WORDS => {
                            let named = |(word, value)| (format!("{ACCESS}.{word}"), value);
                            parts.extend(words.into_iter().map(named));
                        }
                        value => drop(parts.insert(name, value)),
                    }
                }
            }
            value => drop(parts.insert(name, value)),
        }
    }
    parts.retain(|_, value| is_given(value));
    parts
}

fn difference(name: String, old: Option<Value>, new: Option<Value>) -> Difference {
    let is_list = |value: &Option<Value>| value.as_ref().is_none_or(Value::is_array);
    if is_list(&old) && is_list(&new) {
        let list = |value: Option<Value>| match value {
            Some(Value::Array(elements)) => elements,
            _ => Vec::new(),
        };
        let (old, new) = (list(old), list(new));
        return Difference::elements(name, missing(&old, &new), missing(&new, &old));
    }
    Difference::values(name, old.as_ref(), new.as_ref())
}

/// The elements of one list that another lacks.
fn missing(of: &[Value], other: &[Value]) -> Elements {
    let mut missing = Elements::default();
    let other: HashSet<&Value> = other.iter().collect();
    of.iter().filter(|one| !other.contains(one)).for_each(|one| missing.note(one));
    missing
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::{AccessSettings, Role};
    use crate::event::Details;
    use crate::settings::SharedSettings;

    fn role(name: &str) -> Role {
        Role { name: name.to_owned(), id: name.to_lowercase(), workspaces: Vec::new() }
    }

    fn with(roles: Vec<Role>) -> String {
        let access = AccessSettings { roles, ..AccessSettings::default() };
        SharedSettings { access, ..SharedSettings::default() }.to_json().unwrap()
    }

    #[test]
    fn only_what_differs_is_told_under_its_name_in_the_configuration() {
        let (none, one) = (with(Vec::new()), with(vec![role("Guest")]));
        assert_eq!(differences(Some(&none), &none), []);
        let told = differences(Some(&none), &one);
        let added = json!({"name": "Guest", "id": "guest", "workspaces": []});
        assert_eq!(
            serde_json::to_value(&told).unwrap(),
            json!([{"attribute": "roles", "added": {"count": 1, "first": [added]}}])
        );
        let url = one.replace("\"public_url\":null", "\"public_url\":\"https://a.example\"");
        let told = serde_json::to_value(differences(Some(&one), &url)).unwrap();
        assert_eq!(told, json!([{"attribute": "public_url", "after": "https://a.example"}]));
        let kept = one.replace("\"keep\"", "\"refuse\"");
        let told = serde_json::to_value(differences(Some(&one), &kept)).unwrap();
        let unknown =
            json!({"attribute": "access.unknown_departments", "before": "keep", "after": "refuse"});
        assert_eq!(told, json!([unknown]));
    }

    #[test]
    fn the_first_settings_are_all_new_and_very_many_stay_within_the_bounds() {
        let roles = (0..5_000).map(|number| role(&format!("Role {number}"))).collect();
        let told = differences(None, &with(roles));
        let names: Vec<&str> = told.iter().map(|one| one.attribute.as_str()).collect();
        assert!(names.contains(&"roles") && names.contains(&"workspaces"), "{names:?}");
        let size = serde_json::to_vec(&Details::of(None, told)).unwrap().len();
        assert!(size < 10 * 1024, "{size}");
    }
}
