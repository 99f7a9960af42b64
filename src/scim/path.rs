//! Attribute paths, resolved against a resource type (RFC 7644, figure 1 and section 3.10).

use std::fmt;

use serde_json::Value;

use super::attribute::{Attribute, Omitted, PRIMARY, Returned, Storage, Type, VALUE};
use super::schema::{EqualityIndex, Extension, IndexedAttribute, ResourceType};
use super::schemas::common::ID;
use crate::text::excerpt;

/// The maximum number of characters of an unknown name in an error.
const MAX_SHOWN: usize = 100;

/// The path of an attribute that the schema knows, in the schema's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttrPath {
    /// The URN of the extension that the attribute belongs to; `None` for the base schema.
    pub extension: Option<String>,
    /// The top-level attribute.
    pub attribute: String,
    /// The sub-attribute, if one is named or implied; `None` for the `value` of an element that has no
    /// sub-attributes.
    pub sub_attribute: Option<String>,
    /// The type of the attribute at the end of the path.
    pub kind: Type,
    /// Whether letter case matters when values at its end are compared.
    pub case_exact: bool,
    /// Whether a missing value counts as `false`.
    absent_is_false: bool,
}

impl AttrPath {
    /// Resolves a path such as `userName`, `name.familyName`, `emails` or `urn:…:User:department`.
    ///
    /// A complex attribute with a `value` resolves to its `value`, as in `emails eq
    /// "a@example.com"` or `urn:…:User:manager eq "…"`.
    ///
    /// # Errors
    ///
    /// A sentence with the unknown name.
    pub fn resolve(resource_type: &ResourceType, text: &str) -> Result<Self, String> {
        let Located { extension, attribute, sub_attribute } = locate_anywhere(resource_type, text)?;
        let meant = attribute.sub_attribute(VALUE);
        Ok(Self::new(extension, attribute, sub_attribute.or(meant)))
    }

    /// Resolves a path literally: `emails` is the whole attribute.
    ///
    /// # Errors
    ///
    /// A sentence with the unknown name.
    pub fn resolve_whole(resource_type: &ResourceType, text: &str) -> Result<Self, String> {
        let Located { extension, attribute, sub_attribute } = locate_anywhere(resource_type, text)?;
        Ok(Self::new(extension, attribute, sub_attribute))
    }

    /// Refuses a path to an attribute that is never returned: comparisons would reveal its value.
    ///
    /// # Errors
    ///
    /// A clause that states the reason.
    pub fn check_visible(&self, resource_type: &ResourceType) -> Result<(), String> {
        let never = |attribute: &Attribute| attribute.returned == Returned::Never;
        let (attribute, part) = self.definitions(resource_type);
        if attribute.is_some_and(|attribute| attribute.storage == Storage::Computed) {
            return Err(format!("\"{self}\" is computed for each answer and can't be compared"));
        }
        let hidden = attribute.is_some_and(never) || part.is_some_and(never);
        if hidden {
            Err(format!("\"{self}\" is never returned and can't be compared"))
        } else {
            Ok(())
        }
    }

    /// Returns the definition of the attribute at the end of the path; `None` for a resource type
    /// that lacks it.
    pub fn leaf<'a>(&self, resource_type: &'a ResourceType) -> Option<&'a Attribute> {
        let (attribute, part) = self.definitions(resource_type);
        part.or(attribute)
    }

    fn definitions<'a>(
        &self,
        resource_type: &'a ResourceType,
    ) -> (Option<&'a Attribute>, Option<&'a Attribute>) {
        let attribute = match &self.extension {
            Some(urn) => resource_type
                .extension(urn)
                .and_then(|extension| extension.schema.attribute(&self.attribute)),
            None => resource_type.attribute(&self.attribute),
        };
        let part = self.sub_attribute.as_ref();
        (attribute, part.and_then(|name| attribute?.sub_attribute(name)))
    }

    /// The top-level name under which a resource holds the attribute: its own, or the URN of its
    /// extension.
    pub fn top_level(&self) -> &str {
        self.extension.as_deref().unwrap_or(&self.attribute)
    }

    /// The value at the end of the path in the value of its top-level attribute, or in one element of
    /// it.
    pub(super) fn end<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match &self.sub_attribute {
            Some(name) => value.get(name),
            None => Some(value),
        }
    }

    /// The value that a missing one counts as when it is compared or sorted: an element without
    /// `primary` is not primary (RFC 7643, section 2.4), an account without `active` is not active.
    pub(super) fn absent(&self) -> Option<&'static Value> {
        static FALSE: Value = Value::Bool(false);
        self.absent_is_false.then_some(&FALSE)
    }

    fn new(
        extension: Option<&str>,
        attribute: &Attribute,
        sub_attribute: Option<&Attribute>,
    ) -> Self {
        let leaf = sub_attribute.unwrap_or(attribute);
        let is_primary = |part: &Attribute| attribute.multi_valued && part.name == PRIMARY;
        let may_be_false = match sub_attribute {
            Some(part) => is_primary(part),
            None => attribute.omitted == Omitted::TrueThenKept,
        };
        Self {
            extension: extension.map(ToOwned::to_owned),
            attribute: attribute.name.clone(),
            sub_attribute: sub_attribute.map(|sub_attribute| sub_attribute.name.clone()),
            kind: leaf.kind,
            case_exact: leaf.case_exact,
            absent_is_false: may_be_false && leaf.kind == Type::Boolean,
        }
    }
}

impl IndexedAttribute<'_> {
    /// Whether this is the attribute at the end of a path.
    pub fn is_at(&self, path: &AttrPath) -> bool {
        self.extension == path.extension.as_deref()
            && self.attribute.name == path.attribute
            && self.sub_attribute.map(|attribute| attribute.name.as_str())
                == path.sub_attribute.as_deref()
    }
}

impl ResourceType {
    /// The index that answers `eq` at a path, if there is one.
    pub fn equality_index(&self, path: &AttrPath) -> Option<EqualityIndex<'_>> {
        if path.extension.is_none() && path.attribute == ID {
            return Some(EqualityIndex::Id);
        }
        let of_members = self.members().is_some_and(|members| {
            members.storage == Storage::Members && members.name == path.attribute
        });
        if of_members && path.extension.is_none() && path.sub_attribute.as_deref() == Some(VALUE) {
            return Some(EqualityIndex::Members);
        }
        self.indexed().find(|indexed| indexed.is_at(path)).map(EqualityIndex::Attribute)
    }
}

/// Writes the path as in a filter.
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

/// The definitions to which a path refers literally.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located<'a> {
    /// The URN of the extension that the attribute belongs to.
    pub(super) extension: Option<&'a str>,
    /// The top-level attribute.
    pub(super) attribute: &'a Attribute,
    /// Its sub-attribute, if one is named.
    pub(super) sub_attribute: Option<&'a Attribute>,
}

impl Located<'_> {
    /// The path of the top-level attribute, with its URN if it belongs to an extension.
    pub(super) fn qualified(&self) -> String {
        match self.extension {
            Some(urn) => format!("{urn}:{}", self.attribute.name),
            None => self.attribute.name.clone(),
        }
    }
}

/// Finds the definitions to which a path refers.
///
/// # Errors
///
/// A clause with the unknown name.
pub(super) fn locate<'a>(
    resource_type: &'a ResourceType,
    text: &str,
) -> Result<Located<'a>, String> {
    let (extension, name) = split_urn(resource_type, text)?;
    let found = match extension {
        Some(extension) => locate_in(extension, name),
        None => within(name, |head| resource_type.attribute(head)),
    };
    found.ok_or_else(|| unknown(resource_type, text))
}

/// Finds the definitions to which a path refers, also in an extension whose URN the path omits:
/// clients send `manager` instead of `urn:…:User:manager`.
///
/// # Errors
///
/// A clause with the unknown name.
pub(super) fn locate_anywhere<'a>(
    resource_type: &'a ResourceType,
    text: &str,
) -> Result<Located<'a>, String> {
    locate(resource_type, text).or_else(|problem| {
        resource_type
            .extensions
            .iter()
            .find_map(|extension| locate_in(extension, text))
            .ok_or(problem)
    })
}

fn locate_in<'a>(extension: &'a Extension, name: &str) -> Option<Located<'a>> {
    let located = within(name, |head| extension.schema.attribute(head))?;
    Some(Located { extension: Some(&extension.schema.id), ..located })
}

fn within<'a>(
    name: &str,
    attribute: impl Fn(&str) -> Option<&'a Attribute>,
) -> Option<Located<'a>> {
    let (head, tail) = match name.split_once('.') {
        Some((head, tail)) => (head, Some(tail)),
        None => (name, None),
    };
    let attribute = attribute(head)?;
    let sub_attribute = match tail {
        Some(tail) if attribute.is_value(tail) => None,
        Some(tail) => Some(attribute.sub_attribute(tail)?),
        None => None,
    };
    Some(Located { extension: None, attribute, sub_attribute })
}

/// Returns the clause that a resource type has no such attribute.
pub(super) fn unknown(resource_type: &ResourceType, text: &str) -> String {
    format!("{} has no attribute \"{}\"", resource_type.name, excerpt(text, MAX_SHOWN))
}

/// Splits a path into the extension, if it names one, and the rest. The URN may be followed by a
/// dot as well as a colon.
fn split_urn<'a, 'b>(
    resource_type: &'a ResourceType,
    text: &'b str,
) -> Result<(Option<&'a Extension>, &'b str), String> {
    let named = |urn: &str| {
        let rest = text.get(urn.len()..)?.strip_prefix([':', '.'])?;
        text.get(..urn.len())?.eq_ignore_ascii_case(urn).then_some(rest)
    };
    if let Some(rest) = named(&resource_type.schema.id) {
        return Ok((None, rest));
    }
    for extension in &resource_type.extensions {
        if let Some(rest) = extension.schema.urns().find_map(named) {
            return Ok((Some(extension), rest));
        }
    }
    if text.contains(':') { Err(unknown(resource_type, text)) } else { Ok((None, text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::sample;
    use crate::scim::schemas::user;

    fn resolve(text: &str) -> Result<AttrPath, String> {
        AttrPath::resolve(&user::resource_type(), text)
    }

    #[test]
    fn paths_take_the_spelling_of_the_schema() {
        let aliased = resolve("urn:scim:schemas:extension:enterprise:2.0:Department").unwrap();
        assert_eq!(aliased, resolve("department").unwrap());
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
        let dotted = format!("{}.department", user::ENTERPRISE_USER);
        assert_eq!(resolve(&dotted), resolve(&department));
        assert_eq!(resolve("department"), resolve(&department), "clients leave the URN out");
    }

    #[test]
    fn an_element_without_sub_attributes_is_its_value() {
        let resolve = |text: &str| AttrPath::resolve(&sample::resource_type(), text);
        assert_eq!(resolve("Labels.VALUE"), resolve("labels"));
        assert_eq!(resolve("labels.value").unwrap().to_string(), "labels");
        for unknown in ["labels.type", "name.value", "labels.value.value"] {
            assert!(resolve(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn what_the_schema_does_not_know_is_named() {
        for text in ["x", "name.x", "userName.x", "urn:x:y", "", ".", "name."] {
            assert!(resolve(text).unwrap_err().contains("User has no attribute"), "{text}");
        }
    }
}
