//! The vocabularies of `roles`, `entitlements` and `department`: the values that the catalogue
//! allows.

use std::sync::Arc;

use serde_json::Value;

use super::catalogue::Catalogue;
use super::entitlement::Entitlement;
use super::settings::UnknownDepartments;
use crate::scim::attribute::{Attribute, Vocabulary};
use crate::scim::error::ScimError;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user;

/// The maximum number of values that a schema lists. `/Entitlements` lists all of them.
const MAX_SUGGESTED: usize = 500;

/// Adds the vocabularies of the catalogue to the schemas of accounts.
///
/// Without configured roles, `roles` accepts any text, as in RFC 7643, and grants no access.
pub fn install(resource_type: &mut ResourceType, catalogue: &Arc<Catalogue>) {
    if !resource_type.is_account {
        return;
    }
    let schema = &mut resource_type.schema;
    for attribute in &mut schema.attributes {
        let vocabulary: Arc<dyn Vocabulary> = match attribute.name.as_str() {
            user::ROLES if !catalogue.roles.is_empty() => Arc::new(Roles(Arc::clone(catalogue))),
            user::ENTITLEMENTS => Arc::new(Entitlements(Arc::clone(catalogue))),
            _ => continue,
        };
        let value = attribute.sub_attributes.iter_mut().find(|part| part.name == "value");
        if let Some(value) = value {
            speak(value, vocabulary);
        }
    }
    if catalogue.words().unknown_departments == UnknownDepartments::Refuse {
        let extended = resource_type.extensions.iter_mut();
        let attributes = extended.flat_map(|extension| &mut extension.schema.attributes);
        for attribute in attributes.filter(|attribute| attribute.name == user::DEPARTMENT) {
            speak(attribute, Arc::new(Departments(Arc::clone(catalogue))));
        }
    }
}

fn speak(attribute: &mut Attribute, vocabulary: Arc<dyn Vocabulary>) {
    attribute.canonical_values = vocabulary.words(MAX_SUGGESTED);
    attribute.vocabulary = Some(vocabulary);
}

#[derive(Debug)]
struct Roles(Arc<Catalogue>);

impl Vocabulary for Roles {
    /// Entra may send a role as a JSON object in a string, in which `value`, `displayName` or `id`
    /// is the role.
    fn canonical(&self, text: &str) -> Result<String, ScimError> {
        let object = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).ok(),
            false => None,
        };
        let Some(Value::Object(object)) = object else {
            return self.0.role(text).map(|role| role.name.clone());
        };
        let names =
            ["value", "displayName", "id"].iter().filter_map(|key| object.get(*key)?.as_str());
        let mut first = None;
        for name in names.filter(|name| !name.is_empty()) {
            match self.0.role(name) {
                Ok(role) => return Ok(role.name.clone()),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| {
            ScimError::invalid_value(
                "A role that is an object must have a value, displayName or id.",
            )
        }))
    }

    fn words(&self, at_most: usize) -> Vec<String> {
        all_or_none(self.0.roles.iter().map(|role| role.name.clone()), at_most)
    }
}

#[derive(Debug)]
struct Entitlements(Arc<Catalogue>);

impl Vocabulary for Entitlements {
    fn canonical(&self, text: &str) -> Result<String, ScimError> {
        Entitlement::parse(&self.0, text).map(|entitlement| entitlement.to_string())
    }

    fn words(&self, at_most: usize) -> Vec<String> {
        all_or_none(Entitlement::all(&self.0).map(|one| one.to_string()), at_most)
    }
}

#[derive(Debug)]
struct Departments(Arc<Catalogue>);

impl Vocabulary for Departments {
    fn canonical(&self, text: &str) -> Result<String, ScimError> {
        self.0.department(text)
    }

    fn words(&self, at_most: usize) -> Vec<String> {
        all_or_none(self.0.words().departments.iter().cloned(), at_most)
    }
}

/// Returns all words, or none if there are more than `at_most`.
fn all_or_none(words: impl Iterator<Item = String>, at_most: usize) -> Vec<String> {
    let some: Vec<String> = words.take(at_most + 1).collect();
    if some.len() > at_most { Vec::new() } else { some }
}
