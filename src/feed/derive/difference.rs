//! Which attributes of a resource a change has changed, as paths.

use serde_json::{Map, Value};

use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::{ID, META, SCHEMAS};

/// The paths of the attributes whose values differ: of a complex one those of its sub-attributes, of a list the list.
pub(super) fn changed(
    resource_type: &ResourceType,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<String> {
    let mut paths = Vec::new();
    for (name, old, new) in differing(before, after) {
        if [SCHEMAS, ID, META].contains(&name) {
            continue;
        }
        match resource_type.extension(name) {
            Some(_) => {
                let none = Map::new();
                let old = old.and_then(Value::as_object).unwrap_or(&none);
                let new = new.and_then(Value::as_object).unwrap_or(&none);
                for (attribute, old, new) in differing(old, new) {
                    add(&mut paths, &format!("{name}:{attribute}"), old, new);
                }
            }
            None => add(&mut paths, name, old, new),
        }
    }
    paths
}

fn add(paths: &mut Vec<String>, path: &str, old: Option<&Value>, new: Option<&Value>) {
    match (old.and_then(Value::as_object), new.and_then(Value::as_object)) {
        (None, None) => paths.push(path.to_owned()),
        (old, new) => {
            let none = Map::new();
            let parts = differing(old.unwrap_or(&none), new.unwrap_or(&none));
            paths.extend(parts.map(|(part, ..)| format!("{path}.{part}")));
        }
    }
}

/// The fields that differ, those that are gone last.
fn differing<'a>(
    before: &'a Map<String, Value>,
    after: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let new = after.iter().map(|(name, new)| (name.as_str(), before.get(name), Some(new)));
    let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    let gone = gone.map(|(name, old)| (name.as_str(), Some(old), None));
    new.chain(gone).filter(|(_, old, new)| old != new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schemas::user;

    #[test]
    fn paths_name_the_smallest_part_that_has_changed() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let before = object(json!({
            "schemas": ["a"], "id": "1", "userName": "ada", "title": "x",
            "name": {"givenName": "A", "familyName": "L"}, "emails": [{"value": "a"}],
            user::ENTERPRISE_USER: {"department": "bi", "manager": {"value": "1"}},
        }));
        let after = object(json!({
            "schemas": ["b"], "id": "1", "userName": "ada", "nickName": "n",
            "name": {"givenName": "A", "familyName": "M", "formatted": "f"}, "emails": [{"value": "b"}],
            user::ENTERPRISE_USER: {"department": "pm"},
        }));
        let urn = user::ENTERPRISE_USER;
        let (department, manager) = (format!("{urn}:department"), format!("{urn}:manager.value"));
        let expected = [
            "nickName",
            "name.familyName",
            "name.formatted",
            "emails",
            &department,
            &manager,
            "title",
        ];
        assert_eq!(changed(&user::resource_type(), &before, &after), expected);
        assert!(changed(&user::resource_type(), &before, &before).is_empty());
    }
}
