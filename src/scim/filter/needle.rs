//! A prefilter on stored text: a resource that contains none of the filter's literals need not be
//! parsed.

use memchr::memmem::Finder;

use super::{CompareOp, Comparison, Filter, Literal};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::META;
use crate::scim::value::fold;

/// Texts of which a resource must contain at least one to match a filter.
#[derive(Clone, Debug)]
pub struct Needles {
    /// The texts in lower case.
    texts: Vec<Finder<'static>>,
    /// A buffer for the stored text in lower case, reused between calls.
    lowered: Vec<u8>,
}

impl Filter {
    /// Returns the texts of which a stored resource must contain at least one to match; `None` if
    /// it can match without them.
    pub fn needles(&self, resource_type: &ResourceType) -> Option<Needles> {
        let mut texts = Vec::new();
        let needed = self.gather(resource_type, &mut texts);
        let texts = texts.iter().map(|text| Finder::new(text).into_owned()).collect();
        needed.then_some(Needles { texts, lowered: Vec::new() })
    }

    /// Adds the texts of this filter; false if it can match without any.
    fn gather(&self, resource_type: &ResourceType, texts: &mut Vec<String>) -> bool {
        match self {
            Self::Compare(comparison) => match comparison.needle(resource_type) {
                Some(text) => {
                    texts.push(text);
                    true
                }
                None => false,
            },
            Self::Element(_, inner) => inner.gather(resource_type, texts),
            Self::Or(parts) => parts.iter().all(|part| part.gather(resource_type, texts)),
            // All parts must match: the texts of one will do.
            Self::And(parts) => parts.iter().any(|part| {
                let before = texts.len();
                let found = part.gather(resource_type, texts);
                if !found {
                    texts.truncate(before);
                }
                found
            }),
            Self::Not(_) | Self::Present(_) => false,
        }
    }
}

impl Comparison {
    /// The text that a value must hold to compare so, in lower case, if it stands in stored JSON as it
    /// is: without anything that JSON escapes, and in a record rather than beside it.
    fn needle(&self, resource_type: &ResourceType) -> Option<String> {
        let Literal::Text(text) = &self.literal else { return None };
        let holds =
            matches!(self.op, CompareOp::Eq | CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let name = self.path.top_level();
        let stored =
            name != META && resource_type.relations().all(|attribute| attribute.name != name);
        let usable = holds && stored && !text.is_empty() && text.bytes().all(plain);
        usable.then(|| fold(text).into_owned())
    }
}

impl Needles {
    /// Whether a stored resource, given without its `meta`, may match and must be parsed.
    pub fn may_match(&mut self, stored: &[u8]) -> bool {
        // Beyond ASCII, a letter can have an ASCII one as its lower case.
        if !stored.is_ascii() {
            return true;
        }
        self.lowered.clear();
        self.lowered.extend_from_slice(stored);
        self.lowered.make_ascii_lowercase();
        self.texts.iter().any(|text| text.find(&self.lowered).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::{group, user};

    fn overlooked(filter: &str, stored: &str) -> bool {
        let resource_type = user::resource_type();
        let needles = Filter::parse(&resource_type, filter).unwrap().needles(&resource_type);
        needles.is_some_and(|mut needles| !needles.may_match(stored.as_bytes()))
    }

    #[test]
    fn what_holds_none_of_the_texts_is_overlooked() {
        let stored = r#"{"userName":"Ada@Example.com","title":"Countess"}"#;
        for filter in [
            "userName co \"bob\"",
            "title eq \"Engineer\"",
            "title sw \"q\" or emails.value ew \"zz\"",
            "title pr and userName co \"bob\"",
            "emails[type pr and value co \"bob\"]",
        ] {
            assert!(overlooked(filter, stored), "{filter}");
        }
        for filter in [
            "userName co \"EXAMPLE\"",
            "title co \"bob\" or userName ew \".com\"",
            "title pr or userName co \"bob\"",
            "not (userName co \"bob\")",
            "userName ne \"bob\"",
            "userName gt \"bob\"",
            "title co \"\"",
            "groups.display co \"bob\"",
            "meta.version co \"7\"",
        ] {
            assert!(!overlooked(filter, stored), "{filter}");
        }
        let of_group =
            Filter::parse(&group::resource_type(), "members.display co \"bob\"").unwrap();
        assert!(of_group.needles(&group::resource_type()).is_none(), "not in the record");
    }

    #[test]
    fn what_json_or_letter_case_spells_otherwise_is_not_overlooked() {
        assert!(!overlooked("title co \"a\\\"b\"", r#"{"title":"a\"b"}"#));
        assert!(!overlooked("title co \"k\"", "{\"title\":\"\u{212a}\"}"));
        assert!(!overlooked("title co \"\u{e9}\"", "{\"title\":\"E\u{301}\"}"));
    }
}
