//! The lists in `attributes` and `excludedAttributes` (RFC 7644, section 3.9).
//!
//! An entry may select elements of a multi-valued attribute, as in `emails[type eq "work"].value`. The RFC
//! has this form in PATCH alone, but clients send it here too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{ScimError, ScimType};
use super::filter::{Filter, MAX_TERMS, PatchPath};
use super::schema::ResourceType;

/// Splits a list at its commas, but for those in brackets. Entries without a name are left out.
pub fn split(list: &str) -> impl Iterator<Item = &str> {
    let (mut in_brackets, mut mark, mut escaped) = (false, None, false);
    let separates = move |c: char| {
        match (mark, c) {
            (Some(open), _) => {
                if c == open && !escaped {
                    mark = None;
                }
                escaped = c == '\\' && !escaped;
            }
            (None, '[') => in_brackets = true,
            (None, ']') => in_brackets = false,
            (None, '"' | '\'') if in_brackets => mark = Some(c),
            (None, ',') => return !in_brackets,
            (None, _) => {}
        }
        false
    };
    list.split(separates).map(str::trim).filter(|name| !name.is_empty())
}

/// The names in a list, in the schema's spelling: a tree of URNs, attributes and sub-attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AttributeNames {
    /// Whether the node itself was named, and not only a part of it.
    pub(super) whole: bool,
    parts: BTreeMap<String, Self>,
    /// What was named of those elements of a list that match a filter.
    elements: Vec<(Filter, Self)>,
}

pub(super) static NO_NAMES: AttributeNames =
    AttributeNames { whole: false, parts: BTreeMap::new(), elements: Vec::new() };

impl AttributeNames {
    /// Reads a list. What is not the path of an attribute is ignored.
    ///
    /// # Errors
    ///
    /// `tooMany` if the filters make more than [`MAX_TERMS`] comparisons.
    pub(super) fn read(resource_type: &ResourceType, list: &str) -> Result<Self, ScimError> {
        let mut names = Self::default();
        let mut terms = 0;
        for name in split(list) {
            if let Some(extension) = resource_type.extension(name) {
                names.part(&extension.schema.id).whole = true;
                continue;
            }
            let Ok(PatchPath { located, filter, .. }) = PatchPath::parse(resource_type, name)
            else {
                continue;
            };
            let mut node = &mut names;
            for step in [located.extension, Some(&located.attribute.name)].into_iter().flatten() {
                node = node.part(step);
            }
            let mut named = Self::default();
            match located.sub_attribute {
                Some(sub_attribute) => named.part(&sub_attribute.name).whole = true,
                None => named.whole = true,
            }
            let Some(filter) = filter else {
                node.merge(&named);
                continue;
            };
            terms += filter.terms();
            if terms > MAX_TERMS {
                return Err(ScimError::new(
                    ScimType::TooMany,
                    format!(
                        "The filters in the list of attributes have more than {MAX_TERMS} comparisons; use fewer."
                    ),
                ));
            }
            node.elements.push((filter, named));
        }
        Ok(names)
    }

    fn part(&mut self, name: &str) -> &mut Self {
        self.parts.entry(name.to_owned()).or_default()
    }

    pub(super) fn get(&self, name: &str) -> &Self {
        self.parts.get(name).unwrap_or(&NO_NAMES)
    }

    /// Whether the node or a part of it was named.
    pub(super) fn named(&self) -> bool {
        self.whole || !self.parts.is_empty() || !self.elements.is_empty()
    }

    /// Whether elements of a list are named by filters.
    pub(super) fn selects_elements(&self) -> bool {
        !self.elements.is_empty()
    }

    /// What was named of one element of a list, by any name that selects it.
    pub(super) fn of_element(&self, element: &Value) -> Self {
        let mut names = Self { elements: Vec::new(), ..self.clone() };
        for (filter, more) in &self.elements {
            if filter.matches_element(element) {
                names.merge(more);
            }
        }
        names
    }

    fn merge(&mut self, other: &Self) {
        self.whole |= other.whole;
        for (name, part) in &other.parts {
            self.part(name).merge(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_brackets_do_not_separate() {
        for (list, expected) in [
            ("", &[][..]),
            (" , a ,,b.c,", &["a", "b.c"]),
            (r#"a[x eq "1,2"],b"#, &[r#"a[x eq "1,2"]"#, "b"]),
            (r"a[x eq '1],2'].y,b", &["a[x eq '1],2'].y", "b"]),
            (r#"a[x eq "\"],"],b"#, &[r#"a[x eq "\"],"]"#, "b"]),
            ("a\",'b", &["a\"", "'b"]),
            ("a[x,b", &["a[x,b"]),
        ] {
            assert_eq!(split(list).collect::<Vec<_>>(), expected, "{list}");
        }
    }
}
