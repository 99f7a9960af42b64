//! The parser of PATCH bodies: any dialect becomes a flat list of operations.
//!
//! Dialects differ in letter case, in whether a path or an object names the attributes, and in how
//! the members of such an object are spelled: as names, as paths (`name.givenName`,
//! `emails[type eq "work"].value`), with or below URNs.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Definition, MAX_OPERATIONS, MAX_TERMS, Op, PatchOperation, PatchRequest, Target};
use crate::scim::attribute::{Attribute, Type};
use crate::scim::canonical::{InputObject, check_schemas, wrong_type};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::Filter;
use crate::scim::schema::{Extension, ResourceType};
use crate::scim::schemas::common::ID;
use crate::scim::shape::{self, named_twice};
use crate::scim::validate::is_id_checked;

impl PatchRequest {
    /// Reads a PATCH body.
    ///
    /// Unknown members of the body and of its operations are ignored: clients send `id` and `name`.
    ///
    /// # Errors
    ///
    /// - `invalidSyntax`: not the structure of a PATCH body.
    /// - `invalidValue`: no value where one is needed.
    /// - `invalidPath`: a path that is malformed or refers to an unknown attribute.
    /// - `noTarget`: a remove without a path.
    /// - `mutability`: a path to what clients can't change.
    /// - `tooMany`: more than [`MAX_OPERATIONS`] or [`MAX_TERMS`].
    pub fn parse(
        resource_type: &ResourceType,
        body: Map<String, Value>,
    ) -> Result<Self, ScimError> {
        let mut body = InputObject::new(body);
        check_schemas(body.take("schemas"))?;
        let given = match body.take("Operations") {
            Some(Value::Array(operations)) => operations,
            Some(one @ Value::Object(_)) => vec![one],
            None | Some(Value::Null) => Vec::new(),
            Some(other) => return Err(wrong_type("Operations", "an array", &other)),
        };
        if given.is_empty() {
            return Err(ScimError::invalid_syntax(
                "\"Operations\" is missing or empty; expected at least one operation.",
            ));
        }
        if given.len() > MAX_OPERATIONS {
            return Err(ScimError::new(
                ScimType::TooMany,
                format!(
                    "There are {} operations; at most {MAX_OPERATIONS} are allowed in one request.",
                    given.len()
                ),
            ));
        }
        let mut reader = Reader::new(resource_type);
        for (index, operation) in given.into_iter().enumerate() {
            reader.operation(operation, &format!("Operations[{index}]"))?;
        }
        Ok(Self { operations: reader.operations, ids: reader.ids, unknown: reader.unknown })
    }
}

struct Reader<'a> {
    resource_type: &'a ResourceType,
    operations: Vec<PatchOperation>,
    ids: Vec<Value>,
    unknown: Vec<String>,
    terms: usize,
}

impl<'a> Reader<'a> {
    fn new(resource_type: &'a ResourceType) -> Self {
        let (operations, ids, unknown) = (Vec::new(), Vec::new(), Vec::new());
        Self { resource_type, operations, ids, unknown, terms: 0 }
    }

    fn operation(&mut self, operation: Value, place: &str) -> Result<(), ScimError> {
        let Value::Object(operation) = operation else {
            return Err(wrong_type(place, "an object", &operation));
        };
        let mut given = InputObject::new(operation);
        let op = op(given.take("op"), place)?;
        let path = match given.take("path") {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) => Some(path).filter(|path| !path.trim().is_empty()),
            Some(other) => return Err(wrong_type(&format!("{place}.path"), "a string", &other)),
        };
        let value = given.take("value");
        if op != Op::Remove && value.is_none() {
            return Err(ScimError::invalid_value(format!(
                "\"{place}\" has no \"value\"; {} needs one.",
                op.as_str()
            )));
        }
        match path {
            Some(path) => self.at_path(op, path.trim(), value, place),
            None if op == Op::Remove => {
                Err(ScimError::no_target(format!("\"{place}\" has no \"path\"; remove needs one.")))
            }
            None => {
                let object = object(value.unwrap_or_default(), &format!("{place}.value"))?;
                let start = self.operations.len();
                self.members(op, object, Within::Resource)?;
                self.check_repeated(start)
            }
        }
    }

    fn at_path(
        &mut self,
        op: Op,
        path: &str,
        value: Option<Value>,
        place: &str,
    ) -> Result<(), ScimError> {
        if let Some(within) = self.schema(path) {
            return match (op, within, value) {
                (Op::Remove, Within::Extension(extension), _)
                | (Op::Replace, Within::Extension(extension), Some(Value::Null)) => {
                    self.clear(extension);
                    Ok(())
                }
                (Op::Remove, _, _) => {
                    Err(ScimError::no_target("The core schema of a resource can't be removed."))
                }
                (_, within, value) => {
                    let object = object(value.unwrap_or_default(), &format!("{place}.value"))?;
                    let start = self.operations.len();
                    self.members(op, object, within)?;
                    self.check_repeated(start)
                }
            };
        }
        let target = Target::parse(self.resource_type, path).map_err(|problem| {
            ScimError::invalid_path(format!("\"{place}.path\" is not valid: {problem}."))
        })?;
        let definition = target.definition(self.resource_type);
        if definition.is_none_or(|definition| definition.is_read_only()) {
            let id = value.filter(|value| is_id(&target) && op != Op::Remove && !value.is_null());
            if let Some(id) = id {
                self.ids.push(shape::single(id));
                return Ok(());
            }
            return Err(ScimError::mutability(format!("\"{target}\" is read-only.")));
        }
        self.push(op, target, value, true)
    }

    /// Adds one operation for each member of an object that represents a resource or an extension.
    fn members(
        &mut self,
        op: Op,
        object: Map<String, Value>,
        within: Within<'a>,
    ) -> Result<(), ScimError> {
        for (name, value) in object {
            let schema = match within {
                Within::Resource => self.schema(&name),
                Within::Core | Within::Extension(_) => None,
            };
            match (schema, value) {
                (Some(Within::Extension(extension)), Value::Null) => {
                    if op == Op::Replace {
                        self.clear(extension);
                    }
                }
                (Some(_), Value::Null) => {}
                (Some(schema), value) => {
                    let object = self::object(value, &name)?;
                    self.members(op, object, schema)?;
                }
                (None, value) => match self.member(&name, within) {
                    None => self.unknown.push(within.qualified(&name)),
                    Some(target) => {
                        let definition = target.definition(self.resource_type);
                        if definition.is_some_and(|definition| !definition.is_read_only()) {
                            self.push(op, target, Some(value), false)?;
                        } else if is_id(&target) && is_id_checked(self.resource_type) {
                            self.ids.push(shape::single(value));
                        }
                    }
                },
            }
        }
        Ok(())
    }

    fn member(&self, name: &str, within: Within<'_>) -> Option<Target> {
        let named = match within {
            Within::Extension(extension) => extension.schema.attribute(name),
            Within::Resource | Within::Core => self.resource_type.attribute(name),
        };
        let extension = match within {
            Within::Extension(extension) => Some(extension.schema.id.as_str()),
            Within::Resource | Within::Core => None,
        };
        named
            .map(|attribute| Target::whole(extension, attribute))
            .or_else(|| Target::parse(self.resource_type, &within.qualified(name)).ok())
    }

    /// Returns the schema with that URN.
    fn schema(&self, urn: &str) -> Option<Within<'a>> {
        let resource_type = self.resource_type;
        if resource_type.schema.id.eq_ignore_ascii_case(urn) {
            return Some(Within::Core);
        }
        resource_type.extension(urn).map(Within::Extension)
    }

    /// Checks that the members of one object name no attribute twice.
    fn check_repeated(&self, start: usize) -> Result<(), ScimError> {
        let operations = self.operations.get(start..).unwrap_or_default();
        if operations.len() < 2 {
            return Ok(());
        }
        let mut seen = HashSet::new();
        for PatchOperation { target, value, .. } in operations {
            let filter = target.filter.as_ref().map(ToString::to_string);
            let mut names = vec![target.to_string()];
            // An object names its sub-attributes too.
            if let (Some(Value::Object(object)), None, None) =
                (value, &target.sub_attribute, &filter)
            {
                names.extend(object.keys().map(|part| format!("{target}.{part}")));
            }
            for name in names {
                if !seen.insert((name.to_ascii_lowercase(), filter.clone())) {
                    return Err(named_twice(&name));
                }
            }
        }
        Ok(())
    }

    /// Removes every attribute of an extension.
    fn clear(&mut self, extension: &Extension) {
        for attribute in &extension.schema.attributes {
            let target = Target::whole(Some(&extension.schema.id), attribute);
            let definition = target.definition(self.resource_type);
            if definition.is_some_and(|definition| !definition.is_read_only()) {
                let (op, value, explicit) = (Op::Remove, None, false);
                self.operations.push(PatchOperation { op, target, value, explicit });
            }
        }
    }

    fn push(
        &mut self,
        op: Op,
        target: Target,
        value: Option<Value>,
        explicit: bool,
    ) -> Result<(), ScimError> {
        self.terms += target.filter.as_ref().map_or(0, Filter::terms);
        if self.terms > MAX_TERMS {
            return Err(ScimError::new(
                ScimType::TooMany,
                format!("The paths have more than {MAX_TERMS} comparisons; send fewer operations."),
            ));
        }
        let definition = target.definition(self.resource_type);
        let value = match (value, definition) {
            (Some(value), Some(definition)) => Some(shaped(definition, &target, value)),
            (value, _) => value,
        };
        if let (Some(definition), Some(value), None) = (definition, &value, &target.sub_attribute) {
            note_unknown(definition.attribute, value, &target, &mut self.unknown);
        }
        self.operations.push(PatchOperation { op, target, value, explicit });
        Ok(())
    }
}

/// Returns the value of an operation in the shape of what its target selects.
fn shaped(definition: Definition<'_>, target: &Target, value: Value) -> Value {
    match (definition.sub_attribute, &target.filter) {
        (Some(sub_attribute), _) => shape::value(sub_attribute, value),
        (None, Some(_)) => shape::element(definition.attribute, value),
        (None, None) => shape::value(definition.attribute, value),
    }
}

/// Whether a target is the identifier of the resource, which a request may repeat.
fn is_id(target: &Target) -> bool {
    target.extension.is_none() && target.attribute == ID && target.sub_attribute.is_none()
}

/// The container to which the members of an object belong.
#[derive(Clone, Copy)]
enum Within<'a> {
    /// The resource: common and core attributes, and extensions by their URNs.
    Resource,
    /// The core schema, named by its URN.
    Core,
    /// An extension.
    Extension(&'a Extension),
}

impl Within<'_> {
    /// Returns the path of a member, which may have a URN of its own.
    fn qualified(self, name: &str) -> String {
        let has_urn = name.split('[').next().is_some_and(|attribute| attribute.contains(':'));
        match self {
            Self::Extension(extension) if !has_urn => format!("{}:{name}", extension.schema.id),
            Self::Resource | Self::Core | Self::Extension(_) => name.to_owned(),
        }
    }
}

fn op(given: Option<Value>, place: &str) -> Result<Op, ScimError> {
    let known = [Op::Add, Op::Replace, Op::Remove];
    match given {
        Some(Value::String(word)) => known
            .into_iter()
            .find(|op| op.as_str().eq_ignore_ascii_case(word.trim()))
            .ok_or_else(|| {
                ScimError::invalid_syntax(format!(
                    "\"{place}.op\" is \"{}\"; expected add, replace or remove.",
                    word.escape_debug()
                ))
            }),
        Some(other) => Err(wrong_type(&format!("{place}.op"), "a string", &other)),
        None => Err(ScimError::invalid_syntax(format!("\"{place}\" has no \"op\"."))),
    }
}

fn object(value: Value, place: &str) -> Result<Map<String, Value>, ScimError> {
    match shape::single(value) {
        Value::Object(object) => Ok(object),
        other => Err(wrong_type(place, "an object of attributes", &other)),
    }
}

/// Records the members of a complex value that its attribute does not define.
fn note_unknown(attribute: &Attribute, value: &Value, target: &Target, unknown: &mut Vec<String>) {
    if attribute.kind != Type::Complex {
        return;
    }
    let elements = match value {
        Value::Array(elements) => elements.as_slice(),
        one => std::slice::from_ref(one),
    };
    for name in elements.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if attribute.sub_attribute(name).is_none() {
            unknown.push(format!("{target}.{name}"));
        }
    }
}
