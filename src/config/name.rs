//! Names and ids of access catalogue items, and references to them.

use std::collections::HashSet;

use super::reader::Section;
use crate::access::name::{MAX_ID, Named, derived_id, is_id, is_permission};
use crate::text::{fold, nearest};

/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// The names and ids of the items of one kind that have been read.
///
/// A text is the name or id of at most one item, because requests may use either.
#[derive(Default)]
pub(super) struct Taken {
    texts: HashSet<String>,
}

impl Taken {
    /// Reads a name; `None` without one. Problems are recorded.
    pub(super) fn name(&mut self, section: &mut Section<'_, '_>, what: &str) -> Option<String> {
        let name: Option<String> = section.required("name", what);
        if let Some(name) = &name {
            self.check_name(section, "name", name);
        }
        name
    }

    /// Reads an id, or derives it from the kind of item and its name. Problems are recorded.
    pub(super) fn id<T: Named>(&mut self, section: &mut Section<'_, '_>, name: &str) -> String {
        let given: Option<String> = section.optional("id");
        if given.is_none() && name.is_empty() {
            return String::new();
        }
        let id = given.clone().unwrap_or_else(|| derived_id(&[T::KIND, name]));
        let own_name = given.is_some() && fold(name) == fold(&id);
        if !is_id(&id) {
            section.problem(
                "id",
                format!(
                    "invalid id {id:?}; expected 1 to {MAX_ID} letters, digits, '.', '_' or '-'"
                ),
            );
        } else if !self.texts.insert(fold(&id).into_owned()) && !own_name {
            // Without a configured id, the conflict is that another item has the derived id.
            let key = if given.is_some() { "id" } else { "name" };
            section.problem(key, format!("the id {id:?} is already used by an earlier name or id"));
        }
        id
    }

    /// Records a problem if a name is malformed or already in use.
    pub(super) fn check_name(&mut self, section: &mut Section<'_, '_>, key: &str, name: &str) {
        let fits = (1..=MAX_NAME).contains(&name.chars().count())
            && name.trim() == name
            && !name.contains(|c: char| c.is_control() || c == ':');
        if !fits {
            section.problem(
                key,
                format!(
                    "invalid name {name:?}; expected 1 to {MAX_NAME} characters, no ':', no control characters, no \
                     space at either end"
                ),
            );
        } else if !self.texts.insert(fold(name).into_owned()) {
            section.problem(
                key,
                format!("{name:?} appears twice; expected unique names in any letter case"),
            );
        }
    }
}

/// Resolves a reference by name or id, and returns the name. For an unknown one a problem is
/// recorded with the most similar name.
///
/// `known` is `None` if some items could not be read: then no reference is reported as unknown.
pub(super) fn resolve<T: Named>(
    section: &mut Section<'_, '_>,
    key: &str,
    text: &str,
    known: Option<&[T]>,
) -> String {
    let Some(known) = known else { return text.to_owned() };
    if let Some(found) = known.iter().find(|one| one.is_called(text)) {
        return found.name().to_owned();
    }
    let names = || known.iter().map(Named::name);
    let hint = match (nearest(text, names()), known.is_empty()) {
        (Some(near), _) => format!("did you mean {near:?}?"),
        (None, true) => "none is configured".to_owned(),
        (None, false) => {
            let known: Vec<String> = names().map(|name| format!("{name:?}")).collect();
            format!("known {}s: {}", T::KIND, known.join(", "))
        }
    };
    section.missing(key, &format!("unknown {} {text:?}; {hint}", T::KIND));
    text.to_owned()
}

/// Reads the permissions under a key; those that are malformed, or not among the listed ones where
/// any are listed, are noted.
pub(super) fn permissions(
    section: &mut Section<'_, '_>,
    key: &'static str,
    listed: &[String],
) -> Vec<String> {
    let permissions: Vec<String> = section.array(key).unwrap_or_default();
    for permission in &permissions {
        if !is_permission(permission) {
            section.problem(
                key,
                format!(
                    "invalid permission {permission:?}; expected 1 to {MAX_ID} of the characters a-z, 0-9 and _"
                ),
            );
        } else if !listed.is_empty() && !listed.contains(permission) {
            let hint = match nearest(permission, listed.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("[access] lists {}", listed.join(", ")),
            };
            section.problem(key, format!("unknown permission {permission:?}; {hint}"));
        }
    }
    permissions
}
