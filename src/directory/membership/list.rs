//! The members of one group in memory, for as long as a command runs, and filters on them.
//!
//! A PATCH may have a thousand operations with filters on the members of a large group. The list is read
//! once, no JSON is built, and a text that is looked for in the names of all members is looked for in one
//! run of bytes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use crate::directory::membership::value;
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::path::AttrPath;
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::value::{fold, moment};

/// What stands between two names: a byte that no text in UTF-8 contains.
const BETWEEN: u8 = 0xff;

/// The members of a group.
#[derive(Default)]
pub(crate) struct MemberList {
    entries: Vec<Entry>,
    places: HashMap<ResourceId, usize>,
    gone: usize,
    names: Option<Names>,
}

struct Entry {
    id: ResourceId,
    resource_type: Arc<ResourceType>,
    /// As stored.
    value: Bytes,
    is_member: bool,
}

/// The folded names of all entries, one after the other.
struct Names {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Entry {
    fn display(&self) -> &str {
        value::display(&self.value)
    }
}

impl MemberList {
    /// Adds a member as it is stored; one of an unknown type is not a member.
    pub(crate) fn push(&mut self, registry: &Registry, id: ResourceId, value: Bytes) {
        let Some(resource_type) = value.first().and_then(|tag| registry.by_tag(*tag)) else {
            return;
        };
        let resource_type = Arc::clone(resource_type);
        let entry = Entry { id, resource_type, value, is_member: true };
        if let Some(names) = &mut self.names {
            names.push(entry.display());
        }
        self.places.insert(id, self.entries.len());
        self.entries.push(entry);
    }

    /// Removes a member, if it is one.
    pub(crate) fn remove(&mut self, id: ResourceId) {
        let Some(entry) = self.places.remove(&id).and_then(|place| self.entries.get_mut(place))
        else {
            return;
        };
        entry.is_member = false;
        self.gone += 1;
        // What is gone is still found among the names: it goes once it is the most of them.
        if self.gone * 2 > self.entries.len() {
            self.entries.retain(|entry| entry.is_member);
            self.places =
                self.entries.iter().enumerate().map(|(place, entry)| (entry.id, place)).collect();
            (self.gone, self.names) = (0, None);
        }
    }

    pub(crate) fn contains(&self, id: ResourceId) -> bool {
        self.places.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The members, in the order in which they were added.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ResourceId> {
        self.entries.iter().filter(|entry| entry.is_member).map(|entry| entry.id)
    }

    /// The members that a filter on the elements of `attribute` selects. `check` is asked now and then
    /// whether to go on.
    pub(crate) fn matching<E>(
        &mut self,
        attribute: &str,
        filter: &Filter,
        mut check: impl FnMut() -> Result<(), E>,
    ) -> Result<Vec<ResourceId>, E> {
        let entries = &self.entries;
        let names = self.names.get_or_insert_with(|| Names::of(entries));
        if let Some((op, text)) = search_in_names(attribute, filter) {
            let places = names.search(op, text);
            let found =
                places.filter_map(|place| entries.get(place)).filter(|entry| entry.is_member);
            return Ok(found.map(|entry| entry.id).collect());
        }
        let mut found = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            if place % 1_024 == 0 {
                check()?;
            }
            let folded = names.get(place);
            if entry.is_member && (Element { attribute, entry, folded }).matches(filter, false) {
                found.push(entry.id);
            }
        }
        Ok(found)
    }
}

impl Names {
    fn of(entries: &[Entry]) -> Self {
        let mut names = Self { bytes: vec![BETWEEN], starts: Vec::with_capacity(entries.len()) };
        entries.iter().for_each(|entry| names.push(entry.display()));
        names
    }

    fn push(&mut self, display: &str) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(fold(display).as_bytes());
        self.bytes.push(BETWEEN);
    }

    /// The byte behind a name.
    fn end(&self, place: usize) -> usize {
        self.starts.get(place + 1).map_or(self.bytes.len(), |next| *next) - 1
    }

    fn get(&self, place: usize) -> &str {
        let start = self.starts.get(place).copied().unwrap_or_default();
        let name = self.bytes.get(start..self.end(place)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// The places of the names that contain a text, or begin or end with it, or are it.
    fn search(&self, op: CompareOp, text: &str) -> impl Iterator<Item = usize> {
        let from_start = matches!(op, CompareOp::Sw | CompareOp::Eq);
        let to_end = matches!(op, CompareOp::Ew | CompareOp::Eq);
        let mut needle = Vec::with_capacity(text.len() + 2);
        needle.extend(from_start.then_some(BETWEEN));
        needle.extend_from_slice(text.as_bytes());
        needle.extend(to_end.then_some(BETWEEN));
        let finder = memmem::Finder::new(&needle).into_owned();
        let mut from = 0;
        std::iter::from_fn(move || {
            let rest = self.bytes.get(from..)?;
            let begins = from + finder.find(rest)? + usize::from(from_start);
            let place = self.starts.partition_point(|start| *start <= begins) - 1;
            // One hit a name is enough. The byte behind it is the one before the next name.
            from = self.end(place);
            Some(place)
        })
    }
}

/// The operator and the text, if a filter looks for a text in the names of members and no more.
fn search_in_names<'a>(attribute: &str, filter: &'a Filter) -> Option<(CompareOp, &'a str)> {
    let Filter::Compare(Comparison { path, op, literal: Literal::Text(text) }) = filter else {
        return None;
    };
    let of_names = path.extension.is_none()
        && path.attribute == attribute
        && path.sub_attribute.as_deref() == Some("display")
        && !path.case_exact;
    let searches = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew | CompareOp::Eq);
    (of_names && searches && !text.is_empty()).then_some((*op, text.as_str()))
}

/// One member, as filters see it: an object with `value`, `type` and `display`.
struct Element<'a> {
    attribute: &'a str,
    entry: &'a Entry,
    /// Its name, folded.
    folded: &'a str,
}

/// What stands at the end of a path.
enum At {
    /// No value.
    Nothing,
    /// The whole element, which is no text.
    Object,
    Value,
    Type,
    Display,
}

impl Element<'_> {
    /// Like [`Filter::matches`]; `inside` if the filter stands in the brackets of the attribute.
    fn matches(&self, filter: &Filter, inside: bool) -> bool {
        match filter {
            Filter::And(parts) => parts.iter().all(|part| self.matches(part, inside)),
            Filter::Or(parts) => parts.iter().any(|part| self.matches(part, inside)),
            Filter::Not(part) => !self.matches(part, inside),
            Filter::Compare(comparison) => self.compares(comparison, inside),
            Filter::Present(path) => self.is_assigned(path, inside),
            Filter::Element(path, inner) => {
                self.is_meant(path, inside) && self.matches(inner, true)
            }
        }
    }

    /// Whether a path leads into the element.
    fn is_meant(&self, path: &AttrPath, inside: bool) -> bool {
        inside || (path.extension.is_none() && path.attribute == self.attribute)
    }

    fn at(&self, path: &AttrPath, inside: bool) -> At {
        if !self.is_meant(path, inside) {
            return At::Nothing;
        }
        match path.sub_attribute.as_deref() {
            None => At::Object,
            Some("value") => At::Value,
            Some("type") => At::Type,
            Some("display") => At::Display,
            Some(_) => At::Nothing,
        }
    }

    fn is_assigned(&self, path: &AttrPath, inside: bool) -> bool {
        match self.at(path, inside) {
            At::Nothing => false,
            At::Object | At::Value | At::Type => true,
            At::Display => !self.entry.display().is_empty(),
        }
    }

    fn compares(&self, comparison: &Comparison, inside: bool) -> bool {
        let Comparison { path, op, literal } = comparison;
        match (op, literal) {
            (CompareOp::Eq, Literal::Null) => !self.is_assigned(path, inside),
            (CompareOp::Ne, Literal::Null) => self.is_assigned(path, inside),
            (CompareOp::Ne, _) => !self.fits(path, CompareOp::Eq, literal, inside),
            _ => self.fits(path, *op, literal, inside),
        }
    }

    fn fits(&self, path: &AttrPath, op: CompareOp, literal: &Literal, inside: bool) -> bool {
        let fits = |text: &str, folded: Option<&str>| match literal {
            Literal::Text(wanted) => match (path.case_exact, folded) {
                (true, _) => op.holds_for_texts(text, wanted),
                (false, Some(folded)) => op.holds_for_texts(folded, wanted),
                (false, None) => op.holds_for_texts(&fold(text), wanted),
            },
            Literal::Moment(wanted) => {
                moment(text).is_some_and(|moment| op.holds_for(moment.cmp(wanted)))
            }
            Literal::Number(_) | Literal::Boolean(_) | Literal::Null => false,
        };
        match self.at(path, inside) {
            At::Nothing | At::Object => false,
            At::Value => fits(&self.entry.id.to_string(), None),
            At::Type => fits(&self.entry.resource_type.name, None),
            At::Display => fits(self.entry.display(), Some(self.folded)),
        }
    }
}
