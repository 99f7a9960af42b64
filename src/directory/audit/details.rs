//! The details of a change for the audit trail: the name of its subject, and how its attributes and
//! memberships differ from before. The command has both sides at hand, so this costs no look-up.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Value, json};

use crate::event::{Details, Difference, Elements, RefusedRequests};
use crate::scim::attribute::{Attribute, Mutability, Returned};
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;

/// The attribute under which added and removed members are recorded.
const MEMBERS: &str = "members";
/// The attribute under which groups are recorded that a deleted resource was a member of.
const GROUPS: &str = "groups";

/// What the audit trail records of one change.
#[derive(Default)]
pub(crate) struct ChangeDetails {
    /// The name of the subject.
    name: Option<String>,
    /// Its attributes.
    differences: Vec<Difference>,
    /// Members that were added and removed.
    added: Elements,
    removed: Elements,
    /// Groups that it was a member of.
    left: Elements,
    refusals: Vec<RefusedRequests>,
    others: u64,
}

impl ChangeDetails {
    /// Records a member that was added; `name` is the one that the directory has for it.
    pub(crate) fn member_added(&mut self, member: ResourceId, name: Option<&str>) {
        note(&mut self.added, member, || name.map(ToOwned::to_owned));
    }

    /// Records a member that was removed; `name` is the one that the directory has for it.
    pub(crate) fn member_removed(&mut self, member: ResourceId, name: Option<String>) {
        note(&mut self.removed, member, || name);
    }

    /// Whether the name of the next removed member is recorded; of further ones only the number is.
    pub(crate) fn names_removed(&self) -> bool {
        self.removed.has_room()
    }

    /// Whether the name of the next group that was left is recorded; of further ones only the number is.
    pub(crate) fn names_left(&self) -> bool {
        self.left.has_room()
    }

    /// Records a group that the deleted subject was a member of.
    pub(crate) fn left_group(&mut self, group: ResourceId, name: Option<String>) {
        note(&mut self.left, group, || name);
    }

    /// Records that a single value of the subject became another.
    pub(crate) fn value_changed(
        &mut self,
        attribute: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        if before != after {
            self.differences.push(Difference::values(attribute, before, after));
        }
    }

    /// Records the reason that an operator gave.
    pub(crate) fn reason(&mut self, reason: Option<&str>) {
        self.value_changed("reason", None, reason.map(Value::from).as_ref());
    }

    /// Records what else was changed.
    pub(crate) fn changed(&mut self, differences: Vec<Difference>) {
        self.differences.extend(differences);
    }

    /// Records how a resource differs from before. A resource that is new or deleted has all its values
    /// on one side.
    pub(crate) fn describe(
        &mut self,
        resource_type: &ResourceType,
        before: Option<&Resource>,
        after: Option<&Resource>,
    ) {
        let name = after.or(before).and_then(|resource| resource.name(resource_type));
        self.name = name.map(ToOwned::to_owned);
        let common = resource_type.common.iter().map(|attribute| (None, attribute));
        let touched = differing(before, after);
        let is_touched = |extension: Option<&str>, attribute: &Attribute| {
            touched.contains(&extension.unwrap_or(&attribute.name))
        };
        for (extension, attribute) in common
            .chain(resource_type.own_attributes())
            .filter(|(extension, attribute)| is_touched(*extension, attribute))
        {
            let old = before.and_then(|before| before.value(extension, &attribute.name));
            let new = after.and_then(|after| after.value(extension, &attribute.name));
            if old != new {
                let path = match extension {
                    Some(urn) => format!("{urn}:{}", attribute.name),
                    None => attribute.name.clone(),
                };
                compare(attribute, path, old, new, &mut self.differences);
            }
        }
    }

    /// Records denied requests, and how many more there were.
    pub(crate) fn denied_requests(&mut self, refusals: Vec<RefusedRequests>, others: u64) {
        (self.refusals, self.others) = (refusals, others);
    }

    pub(crate) fn into_details(self) -> Details {
        let members = Difference::elements(MEMBERS, self.removed, self.added);
        let groups = Difference::elements(GROUPS, self.left, Elements::default());
        let relations = [members, groups].into_iter();
        let relations = relations.filter(|one| !one.removed.is_empty() || !one.added.is_empty());
        let details = Details::of(self.name, relations.chain(self.differences));
        Details { refusals: self.refusals, others: self.others, ..details }
    }
}

/// The names of attributes, and the URNs of extensions, that two resources do not have alike.
fn differing<'a>(before: Option<&'a Resource>, after: Option<&'a Resource>) -> Vec<&'a str> {
    let has_alike = |other: Option<&Resource>, name: &str, value: &Value| {
        other.is_some_and(|other| other.get(name) == Some(value))
    };
    let mut names = Vec::new();
    for (one, other) in [(after, before), (before, after)] {
        let attributes = one.into_iter().flat_map(Resource::attributes);
        names.extend(
            attributes
                .filter(|(name, value)| !has_alike(other, name, value))
                .map(|(name, _)| name.as_str()),
        );
    }
    names
}

fn note(elements: &mut Elements, id: ResourceId, name: impl FnOnce() -> Option<String>) {
    if elements.has_room() {
        elements.note(&json!({"value": id.to_string(), "display": name()}));
    } else {
        elements.count();
    }
}

fn compare(
    attribute: &Attribute,
    path: String,
    old: Option<&Value>,
    new: Option<&Value>,
    differences: &mut Vec<Difference>,
) {
    if old == new {
        return;
    }
    if is_hidden(attribute) {
        differences.push(Difference::hidden(path));
    } else if attribute.multi_valued {
        let (removed, added) = gone_and_new(elements(old), elements(new));
        differences.push(Difference::elements(
            path,
            shown(attribute, &removed),
            shown(attribute, &added),
        ));
    } else if attribute.sub_attributes.is_empty() {
        differences.push(Difference::values(path, old, new));
    } else {
        for part in &attribute.sub_attributes {
            let old = old.and_then(|old| old.get(&part.name));
            let new = new.and_then(|new| new.get(&part.name));
            compare(part, format!("{path}.{}", part.name), old, new, differences);
        }
    }
}

/// Whether the values of an attribute are never shown.
fn is_hidden(attribute: &Attribute) -> bool {
    attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly
}

fn elements(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The elements of one list that the other one lacks, from both sides.
fn gone_and_new<'a>(old: &'a [Value], new: &'a [Value]) -> (Vec<&'a Value>, Vec<&'a Value>) {
    let mut left: HashMap<&Value, usize> = HashMap::with_capacity(old.len());
    for element in old {
        *left.entry(element).or_default() += 1;
    }
    let mut take = |element: &'a Value| match left.get_mut(element) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    let added = new.iter().filter(|element| !take(element)).collect();
    (old.iter().filter(|element| take(element)).collect(), added)
}

/// Elements as they are recorded: without the parts that are never shown.
fn shown(attribute: &Attribute, list: &[&Value]) -> Elements {
    let hidden: Vec<&Attribute> =
        attribute.sub_attributes.iter().filter(|part| is_hidden(part)).collect();
    let mut elements = Elements::default();
    for &element in list {
        if !elements.has_room() {
            elements.count();
            continue;
        }
        let mut element = Cow::Borrowed(element);
        if !hidden.is_empty()
            && let Some(parts) = element.to_mut().as_object_mut()
        {
            parts.retain(|name, _| !hidden.iter().any(|part| part.name == *name));
        }
        elements.note(&element);
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(attribute: &Attribute, old: &Value, new: &Value) -> Value {
        let mut differences = Vec::new();
        compare(attribute, attribute.name.clone(), Some(old), Some(new), &mut differences);
        serde_json::to_value(differences).unwrap()
    }

    fn emails() -> Attribute {
        let parts = vec![
            Attribute::string("value", ""),
            Attribute::string("pin", "").returned(Returned::Never),
        ];
        Attribute::complex("emails", "", parts).multi_valued()
    }

    #[test]
    fn of_lists_only_what_came_and_went_is_told() {
        let (a, b, c) = (json!({"value": "a"}), json!({"value": "b"}), json!({"value": "c"}));
        assert_eq!(
            differences(&emails(), &json!([a, b, b]), &json!([c, b, a])),
            json!([{"attribute": "emails", "removed": {"count": 1, "first": [b]},
                    "added": {"count": 1, "first": [c]}}])
        );
        assert_eq!(
            differences(&emails(), &json!([a, b]), &json!([b, a])),
            json!([{"attribute": "emails"}]),
            "another order is a change, too"
        );
        assert_eq!(differences(&emails(), &json!([a]), &json!([a])), json!([]));
    }

    #[test]
    fn of_objects_only_the_parts_that_differ_are_told() {
        let parts = vec![Attribute::string("givenName", ""), Attribute::string("familyName", "")];
        let name = Attribute::complex("name", "", parts);
        let old = json!({"givenName": "Ada", "familyName": "Byron"});
        let new = json!({"givenName": "Ada", "familyName": "Lovelace"});
        assert_eq!(
            differences(&name, &old, &new),
            json!([{"attribute": "name.familyName", "before": "Byron", "after": "Lovelace"}])
        );
    }

    #[test]
    fn what_nobody_may_see_is_not_told() {
        let secret = Attribute::string("secret", "").mutability(Mutability::WriteOnly);
        assert_eq!(
            differences(&secret, &json!("canary"), &json!("canary2")),
            json!([{"attribute": "secret", "hidden": true}])
        );
        let old = json!([{"value": "a", "pin": "canary"}]);
        let new = json!([{"value": "a", "pin": "canary2"}]);
        let told = differences(&emails(), &old, &new).to_string();
        assert!(!told.contains("canary") && told.contains("\"count\":1"), "{told}");
    }
}
