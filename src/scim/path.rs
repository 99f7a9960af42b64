//! Attribute paths, resolved against a resource type (RFC 7644, figure 1 and section 3.10).

use std::fmt;

use super::attribute::{Attribute, Type};
use super::schema::ResourceType;

/// The path of an attribute that the schema knows, in the schema's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttrPath {
    /// The URN of the extension that the attribute belongs to; `None` for the base schema.
    pub extension: Option<String>,
    /// The top-level attribute.
    pub attribute: String,
    /// The sub-attribute, if one is named or meant.
    pub sub_attribute: Option<String>,
    /// The type of what the path ends at.
    pub kind: Type,
    /// Whether letter case matters when values at its end are compared.
    pub case_exact: bool,
}

impl AttrPath {
    /// Resolves a path such as `userName`, `name.familyName`, `emails` or `urn:…:User:department`.
    ///
    /// A complex attribute that has a `value`, or whose elements have one, stands for it, as in
    /// `emails eq "a@example.com"` or `urn:…:User:manager eq "…"`.
    ///
    /// # Errors
    ///
    /// A sentence that names what is unknown.
    pub fn resolve(resource_type: &ResourceType, text: &str) -> Result<Self, String> {
        let (extension, attribute, sub_attribute) = find(resource_type, text)?;
        let meant = match sub_attribute {
            None => attribute.sub_attribute("value"),
            named => named,
        };
        Ok(Self::new(extension, attribute, meant))
    }

    /// Resolves a path that means what it says: `emails` is the whole attribute.
    ///
    /// # Errors
    ///
    /// A sentence that names what is unknown.
    pub fn resolve_whole(resource_type: &ResourceType, text: &str) -> Result<Self, String> {
        let (extension, attribute, sub_attribute) = find(resource_type, text)?;
        Ok(Self::new(extension, attribute, sub_attribute))
    }

    /// The top-level name under which a resource holds the attribute: its own, or the URN of its
    /// extension.
    pub fn top_level(&self) -> &str {
        self.extension.as_deref().unwrap_or(&self.attribute)
    }

    fn new(
        extension: Option<&str>,
        attribute: &Attribute,
        sub_attribute: Option<&Attribute>,
    ) -> Self {
        let leaf = sub_attribute.unwrap_or(attribute);
        Self {
            extension: extension.map(ToOwned::to_owned),
            attribute: attribute.name.clone(),
            sub_attribute: sub_attribute.map(|sub_attribute| sub_attribute.name.clone()),
            kind: leaf.kind,
            case_exact: leaf.case_exact,
        }
    }
}

/// The path as it stands in a filter, from its top.
impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.attribute)?;
        match &self.sub_attribute {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

/// The extension, the attribute and the sub-attribute that a path names.
type Found<'a> = (Option<&'a str>, &'a Attribute, Option<&'a Attribute>);

fn find<'a>(resource_type: &'a ResourceType, text: &'a str) -> Result<Found<'a>, String> {
    let (extension, name) = split_urn(resource_type, text)?;
    let (head, tail) = match name.split_once('.') {
        Some((head, tail)) => (head, Some(tail)),
        None => (name, None),
    };
    let attribute = match extension {
        Some(urn) => resource_type.extension(urn).and_then(|known| known.schema.attribute(head)),
        None => resource_type.attribute(head),
    }
    .ok_or_else(|| unknown(resource_type, text))?;
    let sub_attribute = match tail {
        Some(tail) => {
            Some(attribute.sub_attribute(tail).ok_or_else(|| unknown(resource_type, text))?)
        }
        None => None,
    };
    Ok((extension, attribute, sub_attribute))
}

fn unknown(resource_type: &ResourceType, text: &str) -> String {
    format!("{} has no attribute \"{}\"", resource_type.name, text.escape_debug())
}

/// Splits a path into the extension that it names, if it does, and the rest.
fn split_urn<'a>(
    resource_type: &'a ResourceType,
    text: &'a str,
) -> Result<(Option<&'a str>, &'a str), String> {
    let named = |urn: &str| {
        let rest = text.get(urn.len()..)?.strip_prefix(':')?;
        text.get(..urn.len())?.eq_ignore_ascii_case(urn).then_some(rest)
    };
    if let Some(rest) = named(&resource_type.schema.id) {
        return Ok((None, rest));
    }
    for extension in &resource_type.extensions {
        if let Some(rest) = named(&extension.schema.id) {
            return Ok((Some(&extension.schema.id), rest));
        }
    }
    if text.contains(':') { Err(unknown(resource_type, text)) } else { Ok((None, text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::user;

    fn resolve(text: &str) -> Result<AttrPath, String> {
        AttrPath::resolve(&user::resource_type(), text)
    }

    #[test]
    fn paths_take_the_spelling_of_the_schema() {
        let path = resolve("USERNAME").unwrap();
        assert_eq!((path.attribute.as_str(), path.sub_attribute), ("userName", None));
        let path = resolve("Name.FAMILYname").unwrap();
        assert_eq!(path.sub_attribute.as_deref(), Some("familyName"));
        assert_eq!(resolve("emails").unwrap(), resolve("emails.value").unwrap());
        let whole = AttrPath::resolve_whole(&user::resource_type(), "EMAILS").unwrap();
        assert_eq!((whole.attribute.as_str(), whole.sub_attribute), ("emails", None));
        let core = format!("{}:userName", user::USER);
        assert_eq!(resolve(&core).unwrap(), resolve("userName").unwrap());
        let department = format!("{}:Department", user::ENTERPRISE_USER.to_uppercase());
        assert_eq!(resolve(&department).unwrap().extension.as_deref(), Some(user::ENTERPRISE_USER));
    }

    #[test]
    fn what_the_schema_does_not_know_is_named() {
        for text in ["x", "name.x", "userName.x", "urn:x:y", "department", "", ".", "name."] {
            assert!(resolve(text).unwrap_err().contains("User has no attribute"), "{text}");
        }
    }
}
