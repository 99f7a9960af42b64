//! Custom schemas and attributes: their settings, and how they extend resource types.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::attribute::{Attribute, CanonicalValues, Mutability, Returned, Type, Uniqueness};
use super::schema::{Extension, ResourceType, Schema};

/// A schema that extends a resource type. An existing schema receives additional attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchemaSettings {
    /// Its URN.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The name of the resource type that it extends.
    pub resource_type: String,
    /// The attributes that it adds.
    pub attributes: Vec<AttributeSettings>,
}

/// A custom attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttributeSettings {
    /// Its name: a letter, then letters, digits, `-` and `_` (RFC 7643, section 2.1).
    pub name: String,
    /// Its data type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// The description, for people.
    pub description: String,
    /// Whether it holds a list.
    pub multi_valued: bool,
    /// Whether a resource without it is refused.
    pub required: bool,
    /// Whether letter case matters when values are compared.
    pub case_exact: bool,
    /// Who may change the attribute, and when.
    pub mutability: Mutability,
    /// When a response includes the attribute.
    pub returned: Returned,
    /// The scope in which a value must be unique.
    pub uniqueness: Uniqueness,
    /// The allowed values; empty for any value.
    pub canonical_values: Vec<String>,
    /// The sub-attributes of a complex attribute.
    pub sub_attributes: Vec<Self>,
}

impl Default for SchemaSettings {
    fn default() -> Self {
        let (id, name) = (String::new(), String::new());
        Self { id, name, resource_type: "User".to_owned(), attributes: Vec::new() }
    }
}

impl Default for AttributeSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: Type::String,
            description: String::new(),
            multi_valued: false,
            required: false,
            case_exact: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            canonical_values: Vec::new(),
            sub_attributes: Vec::new(),
        }
    }
}

/// The position of a setting in the configured schemas, by list indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaPlace {
    /// The index of the schema.
    pub schema: usize,
    /// The index of the attribute in the schema, for a setting of an attribute.
    pub attribute: Option<usize>,
    /// The index of the sub-attribute, for a setting of a sub-attribute.
    pub sub_attribute: Option<usize>,
}

/// The reason why a schema can't be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    /// The position of the setting.
    pub place: SchemaPlace,
    /// The name of the setting.
    pub key: &'static str,
    /// What is wrong and what is expected, in one line.
    pub message: String,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Adds one configured schema, the one at `place`, to the resource type that it names.
pub(super) fn extend(
    resource_types: &mut [ResourceType],
    configured: &SchemaSettings,
    place: SchemaPlace,
    problems: &mut Vec<SchemaProblem>,
) {
    let mut refuse = |place: SchemaPlace, key: &'static str, message: String| {
        problems.push(SchemaProblem { place, key, message });
    };
    let names: Vec<String> = resource_types.iter().map(|known| known.name.clone()).collect();
    let named = resource_types.iter_mut().find(|known| known.name == configured.resource_type);
    let Some(resource_type) = named else {
        let message = format!(
            "unknown resource type {:?}; expected one of {}",
            configured.resource_type,
            names.join(", ")
        );
        return refuse(place, "schemas.resource_type", message);
    };
    let schema = schema_of(resource_type, configured);
    let mut needs_extension = false;
    for (number, attribute) in configured.attributes.iter().enumerate() {
        let place = SchemaPlace { attribute: Some(number), ..place };
        if schema.attribute(&attribute.name).is_some() {
            let message = format!("{:?} is already an attribute of {}", attribute.name, schema.id);
            refuse(place, "schemas.attributes.name", message);
            continue;
        }
        if attribute.mutability == Mutability::ReadOnly {
            refuse(place, "schemas.attributes.mutability", NEVER_SET.to_owned());
        }
        if attribute.uniqueness != Uniqueness::None && !is_text(attribute) {
            let message = "only strings can be unique; expected type string or reference";
            refuse(place, "schemas.attributes.uniqueness", message.to_owned());
        }
        check_parts(attribute, place, &mut refuse);
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

const NEVER_SET: &str = "no client could set it; expected readWrite, immutable or writeOnly";

fn is_text(attribute: &AttributeSettings) -> bool {
    matches!(attribute.kind, Type::String | Type::Reference)
}

/// Checks the sub-attributes and characteristics of an attribute.
fn check_parts(
    attribute: &AttributeSettings,
    place: SchemaPlace,
    refuse: &mut impl FnMut(SchemaPlace, &'static str, String),
) {
    let parts = || {
        let place_of = move |number| SchemaPlace { sub_attribute: Some(number), ..place };
        attribute.sub_attributes.iter().enumerate().map(move |(at, part)| (at, place_of(at), part))
    };
    for (number, place, part) in parts() {
        let mut earlier = attribute.sub_attributes.iter().take(number);
        if earlier.any(|other| other.name.eq_ignore_ascii_case(&part.name)) {
            let message = format!("{:?} is already a sub-attribute", part.name);
            refuse(place, "schemas.attributes.sub_attributes.name", message);
        }
        if part.mutability == Mutability::ReadOnly {
            let key = "schemas.attributes.sub_attributes.mutability";
            refuse(place, key, NEVER_SET.to_owned());
        }
        if part.uniqueness != Uniqueness::None {
            let message = "sub-attributes can't be unique; expected none";
            refuse(place, "schemas.attributes.sub_attributes.uniqueness", message.to_owned());
        }
    }
    let parts = parts().map(|(_, place, part)| (place, part));
    for (place, part) in parts.chain([(place, attribute)]) {
        if !part.canonical_values.is_empty() && !is_text(part) {
            let message = "only strings have canonical values; expected type string or reference";
            refuse(place, "schemas.attributes.canonical_values", message.to_owned());
        }
    }
}

/// Returns the schema of that URN, after adding it to the resource type if it is new.
fn schema_of<'a>(
    resource_type: &'a mut ResourceType,
    configured: &SchemaSettings,
) -> &'a mut Schema {
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

fn build(configured: &AttributeSettings) -> Attribute {
    let mut attribute = Attribute::new(configured.kind, &configured.name, &configured.description);
    attribute.multi_valued = configured.multi_valued;
    attribute.required = configured.required;
    attribute.case_exact = configured.case_exact;
    attribute.mutability = configured.mutability;
    attribute.returned = configured.returned;
    attribute.uniqueness = configured.uniqueness;
    attribute.canonical_values.clone_from(&configured.canonical_values);
    attribute.values = CanonicalValues::Only;
    attribute.sub_attributes = configured.sub_attributes.iter().map(build).collect();
    attribute
}
