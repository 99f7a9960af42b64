//! The target of an operation.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::scim::attribute::{Attribute, Mutability, Returned, VALUE};
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal, PatchPath};
use crate::scim::json::rename_texts;
use crate::scim::path::Located;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::SCHEMAS;

/// The target of an operation, in the schema's spelling.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The URN of the extension that the attribute belongs to; `None` for the base schema.
    pub extension: Option<String>,
    /// The top-level attribute.
    pub attribute: String,
    /// The filter that selects elements of a multi-valued attribute; `None` for all.
    pub filter: Option<Filter>,
    /// The sub-attribute; `None` for the whole attribute or element.
    pub sub_attribute: Option<String>,
    /// The element that `filter` describes, if it describes one, with texts as they were written.
    described: Option<Map<String, Value>>,
}

/// The definitions of a target.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// The definition of the top-level attribute.
    pub attribute: &'a Attribute,
    /// The definition of the sub-attribute, if the target names one.
    pub sub_attribute: Option<&'a Attribute>,
}

impl Definition<'_> {
    /// Whether clients can't change it. `schemas` is derived from the present attributes.
    pub fn is_read_only(&self) -> bool {
        let read_only = |attribute: &Attribute| attribute.mutability == Mutability::ReadOnly;
        read_only(self.attribute)
            || self.sub_attribute.is_some_and(read_only)
            || self.attribute.name == SCHEMAS
    }

    /// Whether the target has, or may have, a part that is stored and never returned.
    pub fn is_stored_unseen(&self) -> bool {
        self.sub_attribute.unwrap_or(self.attribute).is_stored_unseen()
            || self.attribute.returned == Returned::Never && self.attribute.is_stored_unseen()
    }
}

impl Target {
    /// Reads a path: `attrPath / valuePath [subAttr]` (RFC 7644, figure 7).
    ///
    /// # Errors
    ///
    /// A clause with the unknown or malformed part and its position.
    pub(super) fn parse(resource_type: &ResourceType, text: &str) -> Result<Self, String> {
        let PatchPath { located, filter, literals } = PatchPath::parse(resource_type, text)?;
        let mut described = Map::new();
        let describes = filter
            .as_ref()
            .is_some_and(|filter| describe(filter, &mut literals.into_iter(), &mut described));
        Ok(Self { filter, described: describes.then_some(described), ..Self::at(&located) })
    }

    /// Returns the target of a whole attribute.
    pub(super) fn whole(extension: Option<&str>, attribute: &Attribute) -> Self {
        Self::at(&Located { extension, attribute, sub_attribute: None })
    }

    fn at(located: &Located<'_>) -> Self {
        Self {
            extension: located.extension.map(ToOwned::to_owned),
            attribute: located.attribute.name.clone(),
            filter: None,
            sub_attribute: located.sub_attribute.map(|attribute| attribute.name.clone()),
            described: None,
        }
    }

    /// Returns the definitions of the target; `None` for a resource type other than the one for
    /// which it was parsed.
    pub fn definition<'a>(&self, resource_type: &'a ResourceType) -> Option<Definition<'a>> {
        let attribute = match &self.extension {
            Some(urn) => resource_type.extension(urn)?.schema.attribute(&self.attribute)?,
            None => resource_type.attribute(&self.attribute)?,
        };
        let sub_attribute = match &self.sub_attribute {
            Some(name) => Some(attribute.sub_attribute(name)?),
            None => None,
        };
        Some(Definition { attribute, sub_attribute })
    }

    /// Returns the element that the filter describes, if the filter tests only for equality, as in
    /// `emails[type eq "work" and primary eq true]`.
    pub fn described(&self) -> Option<&Map<String, Value>> {
        self.described.as_ref()
    }

    /// Replaces the literals of its filter that are ids of a table.
    pub(super) fn rename_ids(&mut self, ids: &HashMap<String, String>) {
        if let Some(filter) = &mut self.filter {
            filter.rename_ids(ids);
        }
        if let Some(described) = &mut self.described {
            described.values_mut().for_each(|value| rename_texts(value, ids));
        }
    }

    /// Whether the target selects this element, given in canonical form.
    pub fn selects(&self, element: &Value) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches_element(element))
    }
}

/// Writes the path, without the filter in its brackets.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.attribute)?;
        if self.filter.is_some() {
            f.write_str("[…]")?;
        }
        match &self.sub_attribute {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

/// Collects the equalities of a filter, and returns whether it consists only of them.
fn describe(
    filter: &Filter,
    literals: &mut impl Iterator<Item = String>,
    element: &mut Map<String, Value>,
) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| describe(part, literals, element)),
        Filter::Compare(Comparison { path, op: CompareOp::Eq, literal }) => {
            let written = literals.next();
            let value = match literal {
                Literal::Text(_) | Literal::Moment(_) => written.map(Value::String),
                Literal::Number(number) => Some(Value::Number(number.clone())),
                Literal::Boolean(flag) => Some(Value::Bool(*flag)),
                Literal::Null => return true,
            };
            let Some(value) = value else { return false };
            let name = path.sub_attribute.as_deref().unwrap_or(VALUE);
            // Two values for one sub-attribute describe no element.
            element.insert(name.to_owned(), value).is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::user;
    use serde_json::json;

    fn parse(text: &str) -> Result<Target, String> {
        Target::parse(&user::resource_type(), text)
    }

    #[test]
    fn paths_take_the_spelling_of_the_schema() {
        for (text, expected) in [
            ("USERNAME", "userName".to_owned()),
            ("name.GivenName", "name.givenName".to_owned()),
            ("emails", "emails".to_owned()),
            ("emails.value", "emails.value".to_owned()),
            ("Emails[Type eq \"work\"]", "emails[…]".to_owned()),
            ("emails[type eq \"work\"].Value", "emails[…].value".to_owned()),
            ("emails[type eq work and (value pr)].value", "emails[…].value".to_owned()),
            (&format!("{}:emails[type pr].value", user::USER), "emails[…].value".to_owned()),
            ("manager", format!("{}:manager", user::ENTERPRISE_USER)),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.manager.value",
                format!("{}:manager.value", user::ENTERPRISE_USER),
            ),
        ] {
            assert_eq!(parse(text).map(|target| target.to_string()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for (text, reason) in [
            ("x", "User has no attribute \"x\""),
            ("name.x", "User has no attribute \"name.x\""),
            ("urn:x:y", "User has no attribute"),
            ("", "expected an attribute at its beginning"),
            ("[type eq \"work\"]", "expected an attribute at its beginning"),
            ("emails[", "an attribute is missing at its end"),
            ("emails[]", "expected an attribute at position 7"),
            ("emails[type eq \"work\"", "\"]\" is missing at its end"),
            ("emails[type eq \"work\"]value", "has no attribute \"emails[…]value\""),
            ("emails[type eq \"work\"].x", "has no attribute \"emails[…].x\""),
            ("emails[type eq \"work\"].value x", "unexpected \"x\" at position 29"),
            ("emails[x eq \"work\"]", "no attribute \"emails.x\""),
            ("emails type", "unexpected \"type\" at position 7"),
            ("emails.type[value pr]", "brackets can't select"),
            ("name[givenName pr]", "brackets can't select"),
            ("userName eq \"a\"", "unexpected \"eq\" at position 9"),
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
        }
        let terms = vec!["type pr"; 65].join(" or ");
        assert!(parse(&format!("emails[{terms}]")).unwrap_err().contains("more than 64"));
        let nested = format!("emails[{}type pr{}]", "(".repeat(32), ")".repeat(32));
        assert!(parse(&nested).unwrap_err().contains("32 levels"));
        assert!(parse(&"a".repeat(8_193)).unwrap_err().contains("8193 bytes"));
    }

    #[test]
    fn equality_describes_an_element_in_the_words_of_the_client() {
        let described = |text: &str| parse(text).unwrap().described.map(Value::Object);
        assert_eq!(
            described("roles[value eq \"Admin\" and (primary eq \"True\")].display"),
            Some(json!({"value": "Admin", "primary": true}))
        );
        for text in [
            "emails",
            "emails[type ne \"work\"].value",
            "emails[type eq \"work\" or type eq \"home\"].value",
            "emails[type eq \"work\" and type eq \"home\"].value",
            "emails[not (type eq \"work\")].value",
            "emails[type pr].value",
        ] {
            assert_eq!(described(text), None, "{text}");
        }
    }
}
