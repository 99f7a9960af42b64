//! A client's JSON becomes a resource, or an error that says what is wrong with it.
//!
//! What comes out is canonical: names as the schema spells them, in the schema's order, booleans as
//! booleans, no nulls, no empty lists. What the schema does not know is left out and counted.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::attribute::{Attribute, Type};
use super::error::{ScimError, ScimType};
use super::exchange::{Exchange, Incoming};
use super::json::describe;
use super::resource::Resource;
use super::schema::ResourceType;
use super::schemas::common::SCHEMAS;

/// How many bytes a value of an indexed attribute may have.
pub const MAX_INDEXED_BYTES: usize = 512;

/// What a request's body means.
#[derive(Debug)]
pub struct Validated {
    /// The attributes, in canonical form.
    pub resource: Resource,
    /// Names that no schema of this resource type knows; they were left out.
    pub unknown: Vec<String>,
}

/// Checks a body against the schemas of its resource type.
///
/// Immutable attributes of a replace are compared with the present ones where those are known: see
/// [`check_immutable`].
///
/// # Errors
///
/// - `invalidSyntax`: a value has the wrong JSON type.
/// - `invalidValue`: a required attribute is missing, or a value does not fit.
pub fn validate(
    resource_type: &ResourceType,
    exchange: Exchange,
    body: Map<String, Value>,
) -> Result<Validated, ScimError> {
    let mut run = Run { exchange, unknown: Vec::new() };
    let mut given = Given::new(body);
    let mut attributes = Map::new();

    check_schemas(given.take(SCHEMAS))?;
    let top_level = resource_type.common.iter().filter(|attribute| attribute.name != SCHEMAS);
    run.take_all(
        top_level.chain(&resource_type.schema.attributes),
        &mut given,
        "",
        &mut attributes,
    )?;
    for extension in &resource_type.extensions {
        let urn = &extension.schema.id;
        let Some(value) = given.take(urn).filter(|value| !value.is_null()) else {
            if extension.required {
                return Err(ScimError::invalid_value(format!("\"{urn}\" is required.")));
            }
            continue;
        };
        let Value::Object(object) = value else {
            return Err(wrong_type(urn, "an object", &value));
        };
        let mut inner = Given::new(object);
        let mut extended = Map::new();
        let prefix = format!("{urn}:");
        run.take_all(extension.schema.attributes.iter(), &mut inner, &prefix, &mut extended)?;
        run.unknown.extend(inner.names(&prefix));
        if !extended.is_empty() {
            attributes.insert(urn.clone(), Value::Object(extended));
        }
    }
    run.unknown.extend(given.names(""));
    Ok(Validated { resource: Resource::from_canonical(attributes), unknown: run.unknown })
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
    for attribute in &resource_type.schema.attributes {
        if Exchange::Replace.incoming(attribute.mutability) != Incoming::MustMatch {
            continue;
        }
        let (old, new) = (present.get(&attribute.name), replacement.get(&attribute.name));
        if new.is_some() && old.is_some() && new != old {
            return Err(ScimError::new(
                ScimType::Mutability,
                format!("\"{}\" can't be changed once it is set.", attribute.name),
            ));
        }
    }
    Ok(())
}

/// The members of an object that have not been looked at, found in any letter case.
struct Given {
    members: Vec<(String, Option<Value>)>,
}

impl Given {
    fn new(object: Map<String, Value>) -> Self {
        Self { members: object.into_iter().map(|(name, value)| (name, Some(value))).collect() }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members
            .iter_mut()
            .find(|(given, value)| value.is_some() && given.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.take())
    }

    fn names(self, prefix: &str) -> impl Iterator<Item = String> {
        self.members
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .map(move |(name, _)| format!("{prefix}{name}"))
    }
}

struct Run {
    exchange: Exchange,
    unknown: Vec<String>,
}

impl Run {
    fn take_all<'a>(
        &mut self,
        attributes: impl Iterator<Item = &'a Attribute>,
        given: &mut Given,
        prefix: &str,
        into: &mut Map<String, Value>,
    ) -> Result<(), ScimError> {
        for attribute in attributes {
            let value = given.take(&attribute.name);
            let incoming = self.exchange.incoming(attribute.mutability);
            if incoming == Incoming::Ignored {
                continue;
            }
            let path = format!("{prefix}{}", attribute.name);
            let canonical = match value {
                Some(value) => self.attribute(attribute, value, &path)?,
                None => None,
            };
            match canonical {
                None if attribute.required => {
                    return Err(ScimError::invalid_value(format!("\"{path}\" is required.")));
                }
                Some(value) if incoming != Incoming::CheckedOnly => {
                    into.insert(attribute.name.clone(), value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        attribute: &Attribute,
        value: Value,
        path: &str,
    ) -> Result<Option<Value>, ScimError> {
        if !attribute.multi_valued {
            return self.single(attribute, value, path);
        }
        let elements = match value {
            Value::Null => return Ok(None),
            Value::Array(elements) => elements,
            other => return Err(wrong_type(path, "an array", &other)),
        };
        let mut canonical = Vec::with_capacity(elements.len());
        let mut primaries = 0;
        for (index, element) in elements.into_iter().enumerate() {
            let place = format!("{path}[{index}]");
            if let Some(element) = self.single(attribute, element, &place)? {
                primaries += usize::from(element.get("primary") == Some(&Value::Bool(true)));
                canonical.push(element);
            }
        }
        if primaries > 1 {
            return Err(ScimError::invalid_value(format!(
                "\"{path}\" has {primaries} values that are primary; at most one may be."
            )));
        }
        Ok((!canonical.is_empty()).then_some(Value::Array(canonical)))
    }

    fn single(
        &mut self,
        attribute: &Attribute,
        value: Value,
        path: &str,
    ) -> Result<Option<Value>, ScimError> {
        match (attribute.kind, value) {
            (_, Value::Null) => Ok(None),
            (Type::Complex, Value::Object(object)) => {
                let mut given = Given::new(object);
                let mut canonical = Map::new();
                let prefix = format!("{path}.");
                self.take_all(
                    attribute.sub_attributes.iter(),
                    &mut given,
                    &prefix,
                    &mut canonical,
                )?;
                self.unknown.extend(given.names(&prefix));
                Ok((!canonical.is_empty()).then_some(Value::Object(canonical)))
            }
            (Type::Complex, other) => Err(wrong_type(path, "an object", &other)),
            (kind, value) => simple(attribute, kind, value, path),
        }
    }
}

fn simple(
    attribute: &Attribute,
    kind: Type,
    value: Value,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    match (kind, value) {
        (Type::Boolean, Value::Bool(flag)) => Ok(Some(Value::Bool(flag))),
        // Some clients send booleans as words.
        (Type::Boolean, Value::String(word)) if word.eq_ignore_ascii_case("true") => {
            Ok(Some(Value::Bool(true)))
        }
        (Type::Boolean, Value::String(word)) if word.eq_ignore_ascii_case("false") => {
            Ok(Some(Value::Bool(false)))
        }
        (Type::Boolean, other) => Err(wrong_type(path, "a boolean", &other)),
        (Type::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Ok(Some(Value::Number(number)))
        }
        (Type::Integer, other) => Err(wrong_type(path, "a whole number", &other)),
        (Type::Decimal, Value::Number(number)) => Ok(Some(Value::Number(number))),
        (Type::Decimal, other) => Err(wrong_type(path, "a number", &other)),
        (kind, Value::String(text)) => {
            check_text(attribute, kind, &text, path)?;
            let blank = attribute.required && text.trim().is_empty();
            Ok((!blank).then_some(Value::String(text)))
        }
        (_, other) => Err(wrong_type(path, "a string", &other)),
    }
}

fn check_text(attribute: &Attribute, kind: Type, text: &str, path: &str) -> Result<(), ScimError> {
    let indexed = attribute.is_unique() || attribute.index == super::attribute::Index::Equality;
    let forbidden = |c: char| c.is_control() && (indexed || !matches!(c, '\t' | '\n' | '\r'));
    if let Some(control) = text.chars().find(|&c| forbidden(c)) {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" contains the control character U+{:04X}.",
            u32::from(control)
        )));
    }
    if indexed && text.len() > MAX_INDEXED_BYTES {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" has {} bytes; at most {MAX_INDEXED_BYTES} are kept.",
            text.len()
        )));
    }
    if kind == Type::DateTime && text.parse::<Timestamp>().is_err() {
        return Err(ScimError::invalid_value(format!(
            "\"{path}\" is not a moment such as \"2026-03-01T08:15:00Z\"."
        )));
    }
    if kind == Type::Binary && !is_base64(text) {
        return Err(ScimError::invalid_value(format!("\"{path}\" is not base64.")));
    }
    Ok(())
}

/// Whether a text could be base64 in either alphabet (RFC 4648, sections 4 and 5).
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && body.len() % 4 != 1
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
}

/// `schemas` must be a list of texts. Which ones is not enforced: clients send outdated URNs, and
/// the endpoint already says what the resource is.
fn check_schemas(value: Option<Value>) -> Result<(), ScimError> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(urns)) => match urns.iter().find(|urn| !urn.is_string()) {
            None => Ok(()),
            Some(other) => Err(wrong_type("schemas", "an array of strings", other)),
        },
        Some(other) => Err(wrong_type("schemas", "an array of strings", &other)),
    }
}

fn wrong_type(path: &str, expected: &str, found: &Value) -> ScimError {
    ScimError::invalid_syntax(format!("\"{path}\" must be {expected}, not {}.", describe(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::user;
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
    fn the_error_names_the_place() {
        assert_eq!(detail(json!({})), "\"userName\" is required.");
        assert_eq!(detail(json!({"userName": "  "})), "\"userName\" is required.");
        assert_eq!(detail(json!({"userName": 5})), "\"userName\" must be a string, not a number.");
        let user = |name: &str, value: Value| json!({"userName": "a", name: value});
        assert!(detail(user("emails", json!("x"))).contains("\"emails\" must be an array"));
        assert!(detail(user("emails", json!(["x"]))).contains("\"emails[0]\" must be an object"));
        assert!(detail(user("active", json!("yes"))).contains("must be a boolean"));
        assert!(detail(user("name", json!({"givenName": []}))).contains("\"name.givenName\""));
        assert!(detail(user("schemas", json!("x"))).contains("array of strings"));
        assert!(detail(user("title", json!("a\u{0}"))).contains("U+0000"));
        assert!(detail(json!({"userName": "a\nb"})).contains("U+000A"));
        assert!(check(user("title", json!("a\nb"))).is_ok());
        let two = json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]);
        assert!(detail(user("emails", two)).contains("2 values that are primary"));
        assert!(detail(user("x509Certificates", json!([{"value": "&"}]))).contains("base64"));
    }

    #[test]
    fn indexed_values_have_a_limit() {
        assert!(check(json!({"userName": "a".repeat(MAX_INDEXED_BYTES)})).is_ok());
        let long = detail(json!({"userName": "a".repeat(MAX_INDEXED_BYTES + 1)}));
        assert!(long.contains("513 bytes; at most 512"));
    }
}
