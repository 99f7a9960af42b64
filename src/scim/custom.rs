//! The operator's own schemas and attributes, out of the configuration.

use super::attribute::{Attribute, Mutability, Returned, Type, Uniqueness, Values};
use super::schema::{Extension, ResourceType, Schema};
use crate::config::{AttributeConfig, Problem, SchemaConfig};

/// Adds one configured schema to the resource type that it names.
pub(super) fn extend(
    resource_types: &mut [ResourceType],
    configured: &SchemaConfig,
    problems: &mut Vec<Problem>,
) {
    let mut refuse = |line: usize, key: &str, message: String| {
        problems.push(Problem { line, key: key.to_owned(), message });
    };
    let names: Vec<String> = resource_types.iter().map(|known| known.name.clone()).collect();
    let named = resource_types.iter_mut().find(|known| known.name == configured.resource_type);
    let Some(resource_type) = named else {
        let message = format!(
            "unknown resource type {:?}; expected one of {}",
            configured.resource_type,
            names.join(", ")
        );
        return refuse(configured.line, "schemas.resource_type", message);
    };
    let schema = schema_of(resource_type, configured);
    let mut needs_extension = false;
    for attribute in &configured.attributes {
        if schema.attribute(&attribute.name).is_some() {
            let message = format!("{:?} is an attribute of {} already", attribute.name, schema.id);
            refuse(attribute.line, "schemas.attributes.name", message);
            continue;
        }
        if attribute.mutability == "readOnly" {
            let message = "nobody could ever set it; expected readWrite, immutable or writeOnly";
            refuse(attribute.line, "schemas.attributes.mutability", message.to_owned());
        }
        if attribute.uniqueness != "none" && !matches!(attribute.kind, "string" | "reference") {
            let message = "only texts are kept unique; expected type string or reference";
            refuse(attribute.line, "schemas.attributes.uniqueness", message.to_owned());
        }
        check_parts(attribute, &mut refuse);
        needs_extension |= attribute.required;
        schema.attributes.push(build(attribute));
    }
    let same = |extension: &&mut Extension| extension.schema.is_named(&configured.id);
    if let (true, Some(extension)) =
        (needs_extension, resource_type.extensions.iter_mut().find(same))
    {
        extension.required = true;
    }
}

/// Checks what an attribute consists of and may be.
fn check_parts(attribute: &AttributeConfig, refuse: &mut impl FnMut(usize, &str, String)) {
    let is_text = |attribute: &AttributeConfig| matches!(attribute.kind, "string" | "reference");
    for (place, part) in attribute.sub_attributes.iter().enumerate() {
        let earlier = attribute.sub_attributes.iter().take(place);
        if earlier.into_iter().any(|other| other.name.eq_ignore_ascii_case(&part.name)) {
            let message = format!("{:?} is a sub-attribute already", part.name);
            refuse(part.line, "schemas.attributes.sub_attributes.name", message);
        }
        if part.mutability == "readOnly" {
            let message = "nobody could ever set it; expected readWrite, immutable or writeOnly";
            refuse(part.line, "schemas.attributes.sub_attributes.mutability", message.to_owned());
        }
        if part.uniqueness != "none" {
            let message = "only whole attributes are kept unique; expected none";
            refuse(part.line, "schemas.attributes.sub_attributes.uniqueness", message.to_owned());
        }
    }
    for part in attribute.sub_attributes.iter().chain([attribute]) {
        if !part.canonical_values.is_empty() && !is_text(part) {
            let message = "only texts have canonical values; expected type string or reference";
            refuse(part.line, "schemas.attributes.canonical_values", message.to_owned());
        }
    }
}

/// The schema that is meant, added to the resource type if it is new.
fn schema_of<'a>(resource_type: &'a mut ResourceType, configured: &SchemaConfig) -> &'a mut Schema {
    let same = |schema: &Schema| schema.is_named(&configured.id);
    if same(&resource_type.schema) {
        return &mut resource_type.schema;
    }
    let known = resource_type.extensions.iter().position(|extension| same(&extension.schema));
    let place = known.unwrap_or(resource_type.extensions.len());
    if known.is_none() {
        let schema = Schema {
            id: configured.id.clone(),
            aliases: &[],
            name: configured.name.clone(),
            description: format!("Attributes added to {}", resource_type.name),
            attributes: Vec::new(),
        };
        resource_type.extensions.push(Extension { schema, required: false });
    }
    match resource_type.extensions.get_mut(place) {
        Some(extension) => &mut extension.schema,
        None => &mut resource_type.schema,
    }
}

fn build(configured: &AttributeConfig) -> Attribute {
    let kind = keyword(&Type::ALL, Type::as_str, configured.kind, Type::String);
    let mut attribute = Attribute::new(kind, &configured.name, &configured.description);
    attribute.multi_valued = configured.multi_valued;
    attribute.required = configured.required;
    attribute.case_exact = configured.case_exact;
    attribute.mutability =
        keyword(&Mutability::ALL, Mutability::as_str, configured.mutability, Mutability::ReadWrite);
    attribute.returned =
        keyword(&Returned::ALL, Returned::as_str, configured.returned, Returned::Default);
    attribute.uniqueness =
        keyword(&Uniqueness::ALL, Uniqueness::as_str, configured.uniqueness, Uniqueness::None);
    attribute.canonical_values.clone_from(&configured.canonical_values);
    attribute.values = Values::Only;
    attribute.sub_attributes = configured.sub_attributes.iter().map(build).collect();
    attribute
}

/// The member of a catalogue that is written so.
fn keyword<T: Copy>(all: &[T], as_str: fn(T) -> &'static str, word: &str, default: T) -> T {
    all.iter().copied().find(|&one| as_str(one) == word).unwrap_or(default)
}
