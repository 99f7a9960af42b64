//! `[[schemas]]`: attributes of the operator's own.

use super::keyword;
use super::reader::Section;

/// The data types that an attribute may have (RFC 7643, section 2.3).
const TYPES: [&str; 8] =
    ["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"];
/// Who may change an attribute (RFC 7643, section 2.2).
const MUTABILITIES: [&str; 4] = ["readOnly", "readWrite", "immutable", "writeOnly"];
/// When an attribute is part of an answer (RFC 7643, section 2.2).
const RETURNEDS: [&str; 4] = ["always", "never", "default", "request"];
/// How far a value must be unique (RFC 7643, section 2.2).
const UNIQUENESSES: [&str; 2] = ["none", "server"];

/// A schema that extends a resource type; a known one gets more attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaConfig {
    /// The line of its table, for messages.
    pub line: usize,
    /// Its URN.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The name of the resource type that it extends.
    pub resource_type: String,
    /// What it adds.
    pub attributes: Vec<AttributeConfig>,
}

/// An attribute of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeConfig {
    /// The line of its table, for messages.
    pub line: usize,
    /// Its name: a letter, then letters, digits, `-` and `_` (RFC 7643, section 2.1).
    pub name: String,
    /// One of `TYPES`.
    pub kind: &'static str,
    /// What it means, for people.
    pub description: String,
    /// Whether it holds a list.
    pub multi_valued: bool,
    /// Whether a resource without it is refused.
    pub required: bool,
    /// Whether letter case matters when values are compared.
    pub case_exact: bool,
    /// One of `MUTABILITIES`.
    pub mutability: &'static str,
    /// One of `RETURNEDS`.
    pub returned: &'static str,
    /// One of `UNIQUENESSES`.
    pub uniqueness: &'static str,
    /// The values that it may have; any if none are named.
    pub canonical_values: Vec<String>,
    /// What a complex attribute consists of.
    pub sub_attributes: Vec<Self>,
}

impl SchemaConfig {
    /// Reads one schema; `None` without an id.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let id: Option<String> = section.required("id", "the schema's URN");
        if id.as_ref().is_some_and(|id| !is_urn(id)) {
            section
                .problem("id", "is no URN; expected something like \"urn:example:scim:hr:User\"");
        }
        let name: Option<String> = section.optional("name");
        let resource_type = section.parsed("resource_type", "User".to_owned());
        let attributes = section
            .tables("attributes", |section| AttributeConfig::read(section, true))
            .unwrap_or_default();
        let id = id?;
        Some(Self {
            line: section.line(),
            name: name.unwrap_or_else(|| id.clone()),
            id,
            resource_type,
            attributes: attributes.into_iter().flatten().collect(),
        })
    }
}

impl AttributeConfig {
    fn read(section: &mut Section<'_, '_>, top: bool) -> Option<Self> {
        let name: Option<String> = section.required("name", "the attribute's name");
        if name.as_ref().is_some_and(|name| !is_attribute_name(name)) {
            section.problem(
                "name",
                "is no attribute name; expected a letter, then letters, digits, '-' and '_'",
            );
        }
        let attribute = Self {
            line: section.line(),
            name: name.clone().unwrap_or_default(),
            kind: one_of(section, "type", &TYPES, "string"),
            description: section.parsed("description", String::new()),
            multi_valued: section.boolean("multi_valued", false),
            required: section.boolean("required", false),
            case_exact: section.boolean("case_exact", false),
            mutability: one_of(section, "mutability", &MUTABILITIES, "readWrite"),
            returned: one_of(section, "returned", &RETURNEDS, "default"),
            uniqueness: one_of(section, "uniqueness", &UNIQUENESSES, "none"),
            canonical_values: section.array("canonical_values").unwrap_or_default(),
            sub_attributes: if top {
                let parts = section.tables("sub_attributes", |section| Self::read(section, false));
                parts.unwrap_or_default().into_iter().flatten().collect()
            } else {
                Vec::new()
            },
        };
        if (attribute.kind == "complex") == attribute.sub_attributes.is_empty() {
            section.problem(
                "type",
                "a complex attribute, and no other, has [[schemas.attributes.sub_attributes]]",
            );
        }
        name.map(|_| attribute)
    }
}

fn one_of(
    section: &mut Section<'_, '_>,
    key: &'static str,
    known: &'static [&'static str],
    default: &'static str,
) -> &'static str {
    let Some(given) = section.optional::<String>(key) else { return default };
    match keyword::parse(key, known, |word| word, &given) {
        Ok(word) => word,
        Err(error) => {
            section.problem(key, error.to_string());
            default
        }
    }
}

fn is_urn(text: &str) -> bool {
    let mut parts = text.split(':');
    parts.next().is_some_and(|first| first.eq_ignore_ascii_case("urn"))
        && parts.clone().count() >= 2
        && parts.all(|part| !part.is_empty())
        && text.chars().all(|c| c.is_ascii_graphic() && !"\"'\\[]()".contains(c))
}

fn is_attribute_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        && text.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
