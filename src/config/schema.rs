//! `[[schemas]]`: custom schemas and attributes.

use std::str::FromStr;

use super::place::Place;
use super::problems::Problem;
use super::reader::Section;
use crate::scim::attribute::{Mutability, Returned, Type, Uniqueness};
use crate::scim::custom::{AttributeSettings, SchemaProblem, SchemaSettings};
use crate::text::{InvalidText, keyword};

/// The place of a schema's or an attribute's table, and those of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaLines {
    place: Place,
    parts: Vec<Self>,
}

impl SchemaLines {
    /// Returns a problem of a schema with the place of the table that it is about.
    pub(super) fn locate(schemas: &[Self], problem: SchemaProblem) -> Problem {
        let SchemaProblem { place: at, key, message } = problem;
        let schema = schemas.get(at.schema);
        let attribute = schema.and_then(|schema| schema.parts.get(at.attribute?));
        let part = attribute.and_then(|attribute| attribute.parts.get(at.sub_attribute?));
        let table = part.or(attribute).or(schema);
        let place = table.map(|table| table.place.clone()).unwrap_or_default();
        Problem { place, key: key.to_owned(), message }
    }
}

/// The uniqueness that scimd can enforce: at most within this service provider.
struct ConfigurableUniqueness(Uniqueness);

impl FromStr for ConfigurableUniqueness {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let known = [Uniqueness::None, Uniqueness::Server];
        keyword::parse("uniqueness", &known, Uniqueness::as_str, text).map(Self)
    }
}

impl SchemaSettings {
    /// Reads one schema and the places of its tables; `None` without an id.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<(Self, SchemaLines)> {
        let id: Option<String> = section.required("id", "the schema's URN");
        if id.as_ref().is_some_and(|id| !is_urn(id)) {
            section.problem("id", "not a URN; expected for example \"urn:example:scim:hr:User\"");
        }
        let name: Option<String> = section.optional("name");
        let resource_type = section.parsed("resource_type", "User".to_owned());
        let attributes = section
            .tables("attributes", |section| AttributeSettings::read(section, true))
            .unwrap_or_default();
        let id = id?;
        let (attributes, lines) = attributes.into_iter().flatten().unzip();
        let lines = SchemaLines { place: section.place(), parts: lines };
        let name = name.unwrap_or_else(|| id.clone());
        Some((Self { name, id, resource_type, attributes }, lines))
    }
}

impl AttributeSettings {
    fn read(section: &mut Section<'_, '_>, top: bool) -> Option<(Self, SchemaLines)> {
        let name: Option<String> = section.required("name", "the attribute's name");
        if name.as_ref().is_some_and(|name| !is_attribute_name(name)) {
            section.problem(
                "name",
                "not an attribute name; expected a letter, then letters, digits, '-' and '_'",
            );
        }
        let (sub_attributes, parts) = if top {
            let parts = section.tables("sub_attributes", |section| Self::read(section, false));
            parts.unwrap_or_default().into_iter().flatten().unzip()
        } else {
            Default::default()
        };
        let attribute = Self {
            name: name.clone().unwrap_or_default(),
            kind: section.parsed("type", Type::String),
            description: section.parsed("description", String::new()),
            multi_valued: section.boolean("multi_valued", false),
            required: section.boolean("required", false),
            case_exact: section.boolean("case_exact", false),
            mutability: section.parsed("mutability", Mutability::ReadWrite),
            returned: section.parsed("returned", Returned::Default),
            uniqueness: section.parsed("uniqueness", ConfigurableUniqueness(Uniqueness::None)).0,
            canonical_values: section.array("canonical_values").unwrap_or_default(),
            sub_attributes,
        };
        if (attribute.kind == Type::Complex) == attribute.sub_attributes.is_empty() {
            section.problem(
                "type",
                "[[schemas.attributes.sub_attributes]] is required for type complex, and not allowed for other types",
            );
        }
        let lines = SchemaLines { place: section.place(), parts };
        name.map(|_| (attribute, lines))
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
