//! Validation: a client's JSON becomes a resource in canonical form, or an error.
//!
//! Canonical form means the schema's names and order, booleans as booleans, no nulls and no empty
//! lists. Attributes that the schema does not define are left out and reported.

use serde_json::{Map, Value};

use super::attribute::{Attribute, Mutability};
use super::canonical::{Canonical, InputObject, check_schemas, is_blank, wrong_type};
use super::error::ScimError;
use super::exchange::{Exchange, Incoming, Renaming};
use super::json::{describe, take_member};
use super::resource::Resource;
use super::schema::ResourceType;
use super::schemas::common::{ID, SCHEMAS};
use super::shape;
use super::value::fold;
use crate::text::excerpt;

/// A validated request body.
#[derive(Debug)]
pub struct Validated {
    /// The attributes, in canonical form.
    pub resource: Resource,
    /// Ignored names, which no schema of the resource type defines.
    pub unknown: Vec<String>,
    /// The `id` in the body, if there is one that counts.
    pub id: Option<Value>,
}

/// Checks a body against the schemas of its resource type.
///
/// Immutable attributes of a replace are not checked here: see [`check_immutable`].
///
/// # Errors
///
/// - `invalidSyntax`: a value has the wrong JSON type, or an attribute is named twice.
/// - `invalidValue`: a required attribute is missing, or a value does not fit.
pub fn validate(
    resource_type: &ResourceType,
    exchange: Exchange,
    body: Map<String, Value>,
) -> Result<Validated, ScimError> {
    validate_shaped(resource_type, exchange, shape::body(resource_type, body)?)
}

/// Like [`validate`], for a body that [`shape::body`] returned.
///
/// # Errors
///
/// Those of [`validate`].
pub(crate) fn validate_shaped(
    resource_type: &ResourceType,
    exchange: Exchange,
    mut body: Map<String, Value>,
) -> Result<Validated, ScimError> {
    let mut run = Canonical::new(exchange);
    let id = take_member(&mut body, ID).filter(|_| is_id_checked(resource_type));
    let mut given = InputObject::new(body);
    let mut attributes = Map::new();

    check_schemas(given.take(SCHEMAS))?;
    let stays = match exchange {
        Exchange::Replace(Renaming::Refused) => resource_type.name_attribute(),
        Exchange::Create | Exchange::Replace(Renaming::Allowed) | Exchange::Patch => None,
    };
    let stays = stays.filter(|name| !given.has(&name.name)).map(|name| name.name.as_str());
    let top_level = resource_type
        .common
        .iter()
        .filter(|attribute| attribute.name != SCHEMAS)
        .chain(&resource_type.schema.attributes)
        .filter(|attribute| Some(attribute.name.as_str()) != stays);
    run.take_all(top_level, &mut given, "", &mut attributes)?;
    for extension in &resource_type.extensions {
        let urn = &extension.schema.id;
        let Some(value) = given.take(urn).filter(|value| !value.is_null()) else {
            if extension.required {
                let needed = extension.schema.attributes.iter().find(|one| one.required);
                let needed = needed.map(|one| format!(":{}", one.name)).unwrap_or_default();
                return Err(ScimError::invalid_value(format!("\"{urn}{needed}\" is required.")));
            }
            continue;
        };
        let Value::Object(object) = value else {
            return Err(wrong_type(urn, "an object", &value));
        };
        let mut inner = InputObject::new(object);
        let mut extended = Map::new();
        let prefix = format!("{urn}:");
        run.take_all(extension.schema.attributes.iter(), &mut inner, &prefix, &mut extended)?;
        run.unknown.extend(inner.names(&prefix));
        if !extended.is_empty() {
            attributes.insert(urn.clone(), Value::Object(extended));
        }
    }
    run.unknown.extend(given.names(""));
    Ok(Validated { resource: Resource::from_canonical(attributes), unknown: run.unknown, id })
}

fn check_set_once(
    attribute: &Attribute,
    path: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), ScimError> {
    let replace = Exchange::Replace(Renaming::Allowed);
    let must_match = replace.incoming(attribute.mutability) == Incoming::MustMatch;
    if must_match && old.is_some() && new.is_some() && new != old {
        return Err(ScimError::mutability(format!("\"{path}\" can't be changed once it is set.")));
    }
    Ok(())
}

/// Checks that a replacement leaves immutable attributes as they are (RFC 7644, section 3.5.1).
///
/// # Errors
///
/// `mutability`, naming the attribute.
pub fn check_immutable(
    resource_type: &ResourceType,
    present: &Resource,
    replacement: &Resource,
) -> Result<(), ScimError> {
    for (extension, attribute) in resource_type.own_attributes() {
        let name = &attribute.name;
        let (old, new) = (present.value(extension, name), replacement.value(extension, name));
        check_set_once(attribute, name, old, new)?;
        if attribute.multi_valued {
            continue;
        }
        for part in &attribute.sub_attributes {
            let of = |value: Option<&Value>| value.and_then(|value| value.get(&part.name)).cloned();
            let path = format!("{name}.{}", part.name);
            check_set_once(part, &path, of(old).as_ref(), of(new).as_ref())?;
        }
    }
    Ok(())
}

/// Whether an `id` in the body of a PUT or PATCH counts: that of an account is ignored like every
/// read-only attribute (RFC 7644, section 3.5.1), unless a PATCH path names it.
pub(super) fn is_id_checked(resource_type: &ResourceType) -> bool {
    !resource_type.is_account
}

/// Checks that the `id` in a body, if there is one, is that of the resource that the request
/// changes.
///
/// # Errors
///
/// `mutability`.
pub fn check_id<'a>(named: impl IntoIterator<Item = &'a Value>, id: &str) -> Result<(), ScimError> {
    let is_other = |named: &&Value| match named {
        Value::Null => false,
        Value::String(text) => text != id && !is_blank(named),
        _ => true,
    };
    match named.into_iter().find(is_other) {
        None => Ok(()),
        Some(other) => {
            let other = match other {
                Value::String(text) => format!("\"{}\"", excerpt(text, 100)),
                other => describe(other).to_owned(),
            };
            Err(ScimError::mutability(format!(
                "\"{ID}\" can't be changed to {other}; omit it, or send the id of the resource."
            )))
        }
    }
}

/// Keeps the current name in a replacement, in its stored spelling.
///
/// # Errors
///
/// `mutability` if the replacement has another name.
pub fn keep_name(
    resource_type: &ResourceType,
    present: &Resource,
    replacement: &mut Resource,
) -> Result<(), ScimError> {
    let Some(attribute) = resource_type.name_attribute() else { return Ok(()) };
    let name = &attribute.name;
    let Some(old) = present.get(name) else { return Ok(()) };
    let same = |new: &Value| match (old.as_str(), new.as_str()) {
        (Some(old), Some(new)) if !attribute.case_exact => fold(old) == fold(new),
        _ => old == new,
    };
    if replacement.get(name).is_some_and(|new| !same(new)) {
        return Err(ScimError::mutability(format!(
            "\"{name}\" can't be changed with PUT; omit it, or send the current value."
        )));
    }
    replacement.attributes_mut().insert(name.clone(), old.clone());
    replacement.sort(resource_type);
    Ok(())
}

/// Keeps the immutable values that are never returned, whatever a replacement has for them: an error would tell a
/// wrong value from the right one.
pub fn keep_unseen(resource_type: &ResourceType, present: &Resource, replacement: &mut Resource) {
    let is_kept = |attribute: &&Attribute| {
        attribute.mutability == Mutability::Immutable && attribute.is_stored_unseen()
    };
    for (extension, attribute) in resource_type.own_attributes() {
        let Some(old) = present.value(extension, &attribute.name) else { continue };
        let attributes = replacement.attributes_mut();
        let new = match extension {
            Some(urn) => attributes.get_mut(urn).and_then(|all| all.get_mut(&attribute.name)),
            None => attributes.get_mut(&attribute.name),
        };
        // What is left out is kept in any case.
        let Some(new) = new else { continue };
        if is_kept(&attribute) {
            *new = old.clone();
        } else if let (Value::Object(new), false) = (new, attribute.multi_valued) {
            for part in attribute.sub_attributes.iter().filter(is_kept) {
                if let Some(old) = old.get(&part.name) {
                    new.insert(part.name.clone(), old.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::canonical::MAX_INDEXED_CHARS;
    use crate::scim::schemas::user;
    use jiff::Timestamp;
    use serde_json::json;

    fn check(body: Value) -> Result<Validated, ScimError> {
        let Value::Object(body) = body else { panic!("an object") };
        validate(&user::resource_type(), Exchange::Create, body)
    }

    fn detail(body: Value) -> String {
        check(body).expect_err("must be refused").detail
    }

    #[test]
    fn names_values_and_order_become_canonical() {
        let validated = check(json!({
            "ACTIVE": "False", "emails": [{"Value": "a@b.c", "PRIMARY": "True", "x": 1}],
            "username": "A@b.c", "nickName": null, "photos": [], "externalId": "7",
            "urn:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User": {"Department": "bi"},
            "password": "secret", "groups": [], "id": "mine", "meta": {}, "urn:x": {"y": 1},
        }))
        .unwrap();
        let expected = json!({
            "externalId": "7", "userName": "A@b.c", "active": false,
            "emails": [{"value": "a@b.c", "primary": true}],
            user::ENTERPRISE_USER: {"department": "bi"},
        });
        let id = crate::scim::resource::ResourceId::generate(
            &uuid::ContextV7::new(),
            Timestamp::UNIX_EPOCH,
        );
        let now = Timestamp::UNIX_EPOCH;
        let meta = crate::scim::resource::Meta {
            created: now,
            last_modified: now,
            version: crate::scim::resource::Version::FIRST,
        };
        let json = validated.resource.render(&user::resource_type(), id, &meta).json;
        let stored = Resource::from_stored(&json).unwrap();
        assert_eq!(stored, Resource::from_canonical(expected.as_object().unwrap().clone()));
        assert_eq!(validated.unknown, ["emails[0].x", "urn:x"]);
    }

    #[test]
    fn an_extension_is_known_by_its_other_urns() {
        for urn in [
            "urn:scim:schemas:extension:enterprise:1.0",
            "URN:ietf:params:scim:schemas:extension:enterprise:2.0user",
        ] {
            let validated = check(json!({"userName": "a", urn: {"department": "bi"}})).unwrap();
            let expected = json!({"department": "bi"});
            assert_eq!(validated.resource.get(user::ENTERPRISE_USER), Some(&expected), "{urn}");
            assert_eq!(validated.unknown, [""; 0]);
        }
        let both = json!({"userName": "a", user::ENTERPRISE_USER: {"department": "bi"},
            "urn:scim:schemas:extension:enterprise:2.0": {"department": "pm"}});
        assert!(detail(both).contains("\"department\" is given twice"));
    }

    #[test]
    fn the_error_names_the_place() {
        assert_eq!(detail(json!({})), "\"userName\" is required.");
        assert_eq!(detail(json!({"userName": "  "})), "\"userName\" is required.");
        assert_eq!(detail(json!({"userName": 5})), "\"userName\" must be a string, not a number.");
        let user = |name: &str, value: Value| json!({"userName": "a", name: value});
        assert!(detail(user("emails", json!([5]))).contains("\"emails[0]\" must be an object"));
        assert!(detail(user("active", json!("yes"))).contains("must be a boolean"));
        assert!(
            detail(user("name", json!({"givenName": ["a", "b"]}))).contains("\"name.givenName\"")
        );
        assert!(detail(user("schemas", json!([1]))).contains("array of strings"));
        assert!(detail(user("title", json!("a\u{0}"))).contains("U+0000"));
        assert!(detail(json!({"userName": "a\nb"})).contains("U+000A"));
        assert!(check(user("title", json!("a\nb"))).is_ok());
        let two = json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]);
        assert!(detail(user("emails", two)).contains("2 primary values"));
        assert!(detail(user("x509Certificates", json!([{"value": "&"}]))).contains("base64"));
    }

    #[test]
    fn indexed_values_have_a_limit() {
        for character in ["a", "\u{e9}", "\u{1d11e}"] {
            assert!(check(json!({"userName": character.repeat(MAX_INDEXED_CHARS)})).is_ok());
        }
        let long = detail(json!({"userName": "a".repeat(MAX_INDEXED_CHARS + 1)}));
        assert!(long.contains("513 characters; at most 512"));
    }

    #[test]
    fn harmless_shapes_are_taken() {
        let user = |name: &str, value: Value| json!({"userName": "a", name: value});
        let attributes = |body: Value| check(body).unwrap().resource;
        let emails = attributes(user("emails", json!({"value": "a@b.c"})));
        assert_eq!(emails.get("emails"), Some(&json!([{"value": "a@b.c"}])));
        let roles = attributes(user("roles", json!(["a", {"value": "b"}, ""])));
        assert_eq!(roles.get("roles"), Some(&json!([{"value": "a"}, {"value": "b"}])));
        for manager in [json!("M"), json!(["M"]), json!([{"value": "M"}]), json!({"Value": "M"})] {
            let user = attributes(user(user::ENTERPRISE_USER, json!({"manager": manager})));
            let enterprise = user.get(user::ENTERPRISE_USER);
            assert_eq!(enterprise, Some(&json!({"manager": {"value": "M"}})));
        }
        for none in [json!(""), json!([]), json!([""]), json!({"value": ""}), json!(null)] {
            let user = attributes(user(user::ENTERPRISE_USER, json!({"manager": none})));
            assert_eq!(user.get(user::ENTERPRISE_USER), None);
        }
        assert!(detail(user("name", json!("x"))).contains("\"name\" must be an object"));
        assert!(detail(user("emails", json!(5))).contains("\"emails[0]\" must be an object"));
        let two = json!({"manager": ["M", "N"]});
        assert!(detail(user(user::ENTERPRISE_USER, two)).contains("must be an object"));
    }
}
