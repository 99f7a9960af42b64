//! The effect of an operation on the elements of a multi-valued attribute.

use serde_json::{Map, Value};

use super::change::{canonical, from_object, into_object, is_nothing, merge, set_once, set_part};
use super::list::{check_count, demote_others, from_list, into_list};
use super::{Definition, MAX_COPIED_BYTES, Op, PatchOperation, Target};
use crate::scim::attribute::{Attribute, Mutability, Type, VALUE};
use crate::scim::canonical::{InputObject, is_blank, is_primary};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::schema::ResourceType;

impl PatchOperation {
    /// Returns the elements that the operation adds, sets or removes, in canonical form, for
    /// attributes whose elements are stored outside the resource. `None` if it gives no value,
    /// which for a remove means all.
    ///
    /// # Errors
    ///
    /// `invalidSyntax`, `invalidValue`: an element has the wrong JSON type or does not fit.
    pub fn elements(&self, resource_type: &ResourceType) -> Result<Option<Vec<Value>>, ScimError> {
        let value = self.value.clone().filter(|value| !value.is_null());
        let (Some(definition), Some(value)) = (self.target.definition(resource_type), value) else {
            return Ok(None);
        };
        let path = self.target.to_string();
        let given = canonical().attribute(definition.attribute, value, &path)?;
        Ok(Some(into_list(given)))
    }
}

/// The elements after an operation on those that a target selects, or on one part of each.
pub(super) fn change(
    definition: Definition<'_>,
    target: &Target,
    op: Op,
    value: Option<Value>,
    present: Option<Value>,
) -> Result<Option<Value>, ScimError> {
    let path = target.to_string();
    let value = unwrapped(definition, value);
    let mut elements = into_list(present);
    let selected: Vec<usize> = (0..elements.len())
        .filter(|&at| elements.get(at).is_some_and(|element| target.selects(element)))
        .collect();
    if selected.is_empty() && op != Op::Remove {
        if let Some(element) = create(definition, target, op, value, &path)? {
            let at = elements.len();
            let raised = is_primary(&element);
            elements.push(element);
            check_count(&elements, &path)?;
            if raised {
                demote_others(&mut elements, at);
            }
        }
        return Ok(from_list(elements));
    }
    check_copies(value.as_ref(), selected.len(), &path)?;
    let (mut raised, mut primaries) = (None, 0);
    for at in selected {
        let Some(element) = elements.get_mut(at) else { continue };
        let was_primary = is_primary(element);
        let present = element.take();
        *element = change_one(definition, op, value.clone(), present, &path)?.unwrap_or_default();
        if is_primary(element) {
            primaries += 1;
            if !was_primary {
                raised = Some(at);
            }
        }
    }
    if let Some(raised) = raised {
        if primaries > 1 {
            return Err(ScimError::invalid_value(format!(
                "\"{path}\" selects several values; at most one can be primary."
            )));
        }
        demote_others(&mut elements, raised);
    }
    elements.retain(|element| !element.is_null());
    Ok(from_list(elements))
}

/// Returns the value that an operation gives; `None` for a blank `value`.
fn unwrapped(definition: Definition<'_>, value: Option<Value>) -> Option<Value> {
    match (definition.sub_attribute, value) {
        (Some(sub_attribute), Some(value)) if sub_attribute.name == VALUE && is_blank(&value) => {
            None
        }
        (_, value) => value,
    }
}

fn change_one(
    definition: Definition<'_>,
    op: Op,
    value: Option<Value>,
    present: Value,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let Definition { attribute, sub_attribute } = definition;
    if attribute.kind != Type::Complex {
        let value = value.unwrap_or_default();
        return match op {
            Op::Remove => Ok(None),
            Op::Add if is_nothing(&value) => Ok(Some(present)),
            Op::Add | Op::Replace => canonical().single(attribute, value, path),
        };
    }
    let present = into_object(Some(present));
    let Some(sub_attribute) = sub_attribute else {
        let value = value.unwrap_or_default();
        return match op {
            Op::Remove => Ok(None),
            Op::Add if is_nothing(&value) => Ok(from_object(present)),
            Op::Add => match canonical().object(attribute, value, path)? {
                Some(object) => merge(attribute, op, object, present, path).map(from_object),
                None => Ok(from_object(present)),
            },
            Op::Replace => {
                let after = canonical().single(attribute, value, path)?;
                check_immutable(attribute, &present, after.as_ref(), path)?;
                Ok(after)
            }
        };
    };
    let mut parts = present;
    let had_value = parts.contains_key(VALUE);
    // A blank value removes the value, in an add as in a replace.
    let op = if value.is_none() { Op::Remove } else { op };
    set_part(&mut parts, sub_attribute, op, value, path)?;
    // Without the `value`, the remaining sub-attributes describe nothing.
    if had_value && !parts.contains_key(VALUE) {
        return Ok(None);
    }
    Ok(from_object(parts))
}

/// The element that an operation creates because its target selects none
/// (as clients expect; RFC 7644, section 3.5.2.3, would have `noTarget`).
fn create(
    definition: Definition<'_>,
    target: &Target,
    op: Op,
    value: Option<Value>,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let Definition { attribute, sub_attribute } = definition;
    let Some(value) = value.filter(|value| !is_nothing(value)) else { return Ok(None) };
    let mut object = match (&target.filter, target.described()) {
        (None, _) => Map::new(),
        (Some(_), Some(described)) => described.clone(),
        (Some(_), None) => {
            return Err(ScimError::no_target(format!(
                "\"{path}\" selects no value to {}, and its filter does not say which to add.",
                op.as_str()
            )));
        }
    };
    let place = path.split_once("[…]").map_or(path, |(path, _)| path);
    if attribute.kind != Type::Complex {
        return canonical().single(attribute, value, place);
    }
    match sub_attribute {
        Some(sub_attribute) => {
            object.insert(sub_attribute.name.clone(), value);
        }
        None => {
            let Some(given) = canonical().object(attribute, value, path)? else { return Ok(None) };
            let mut given = InputObject::new(given);
            for sub_attribute in &attribute.sub_attributes {
                if let Some(value) = given.take(&sub_attribute.name) {
                    object.insert(sub_attribute.name.clone(), value);
                }
            }
        }
    }
    canonical().single(attribute, Value::Object(object), place)
}

/// Checks that what replaces an element leaves its immutable parts as they are.
fn check_immutable(
    attribute: &Attribute,
    before: &Map<String, Value>,
    after: Option<&Value>,
    path: &str,
) -> Result<(), ScimError> {
    let Some(after) = after else { return Ok(()) };
    let immutable = |part: &&Attribute| part.mutability == Mutability::Immutable;
    for part in attribute.sub_attributes.iter().filter(immutable) {
        let present = before.get(&part.name);
        if present.is_some() && after.get(&part.name) != present {
            return Err(set_once(&format!("{path}.{}", part.name)));
        }
    }
    Ok(())
}

/// Checks that a small body does not become a large resource.
fn check_copies(value: Option<&Value>, copies: usize, path: &str) -> Result<(), ScimError> {
    let bytes = match value {
        Some(value) if copies > 1 => value.to_string().len(),
        _ => return Ok(()),
    };
    if bytes.saturating_mul(copies) > MAX_COPIED_BYTES {
        return Err(ScimError::new(
            ScimType::TooMany,
            format!("\"{path}\" selects {copies} values, too many for a value of {bytes} bytes."),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::scim::error::{ScimError, ScimType};
    use crate::scim::patch::PatchRequest;
    use crate::scim::resource::Resource;
    use crate::scim::sample;

    fn patch(before: Value, op: &str, path: &str, value: &Value) -> Result<Value, ScimError> {
        let resource_type = sample::resource_type();
        let Value::Object(body) = json!({"Operations": [{"op": op, "path": path, "value": value}]})
        else {
            unreachable!("an object")
        };
        let Value::Object(before) = before else { panic!("an object") };
        let request = PatchRequest::parse(&resource_type, body)?;
        let mut after = request.apply_all(&resource_type, &Resource::from_canonical(before))?;
        Ok(Value::Object(after.attributes_mut().clone()))
    }

    #[test]
    fn an_element_without_sub_attributes_is_selected_by_its_value() {
        let labels = |labels: &[&str]| match labels {
            [] => json!({}),
            _ => json!({"labels": labels}),
        };
        for (op, path, value, after) in [
            ("remove", "labels[value eq \"A\"]", json!(null), labels(&["b"])),
            ("remove", "labels[value eq 'a'].value", json!(null), labels(&["b"])),
            ("remove", "labels[value eq \"c\"]", json!(null), labels(&["a", "b"])),
            ("remove", "labels[value pr]", json!(null), labels(&[])),
            ("replace", "labels[value eq \"a\"]", json!("c"), labels(&["c", "b"])),
            ("replace", "labels[value sw \"a\"].value", json!(["c"]), labels(&["c", "b"])),
            ("replace", "labels[value eq \"a\"]", json!(null), labels(&["b"])),
            ("replace", "labels[value eq \"c\"]", json!("c"), labels(&["a", "b", "c"])),
            ("replace", "labels.value", json!(["c"]), labels(&["c"])),
            ("add", "labels[value eq \"a\"]", json!("c"), labels(&["c", "b"])),
            ("add", "labels[value eq \"a\"]", json!(null), labels(&["a", "b"])),
            ("add", "labels[value eq \"c\"]", json!("c"), labels(&["a", "b", "c"])),
            ("add", "labels.value", json!("c"), labels(&["a", "b", "c"])),
        ] {
            assert_eq!(patch(labels(&["a", "b"]), op, path, &value), Ok(after), "{op} {path}");
        }
        let refused = |op: &str, path: &str, value: &Value| {
            patch(labels(&["a"]), op, path, value).expect_err("must be refused").scim_type
        };
        assert_eq!(refused("add", "labels[value sw \"c\"]", &json!("c")), ScimType::NoTarget);
        assert_eq!(
            refused("replace", "labels[value eq \"a\"]", &json!(5)),
            ScimType::InvalidSyntax
        );
        for path in ["labels[type eq \"a\"]", "labels[value eq \"a\"].type", "name[value pr]"] {
            assert_eq!(refused("remove", path, &json!(null)), ScimType::InvalidPath, "{path}");
        }
    }

    #[test]
    fn an_element_that_does_not_say_whether_it_is_primary_is_not() {
        let ports =
            json!({"ports": [{"value": "a", "primary": true}, {"value": "b", "type": "usb"}]});
        let path = "ports[primary eq false].type";
        let after = patch(ports.clone(), "replace", path, &json!("x")).unwrap();
        assert_eq!(after["ports"][1], json!({"value": "b", "type": "x"}));
        let after = patch(ports, "remove", "ports[primary eq \"False\"]", &json!(null)).unwrap();
        assert_eq!(after["ports"], json!([{"value": "a", "primary": true}]));
        let ports = json!({"ports": [{"type": "usb"}, {"type": "hdmi", "primary": false}]});
        let listed = json!([{"type": "usb", "primary": false}, {"type": "hdmi"}]);
        assert_eq!(patch(ports, "remove", "ports", &listed), Ok(json!({})));
    }
}
