//! Resources: their identities, and the form in which they are stored and served.
//!
//! A stored resource is the JSON object that is served, without `meta.location`, which depends on
//! the configured URL. `meta` comes last, so that the location can be inserted near the end without
//! parsing the rest.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::{ContextV7, Uuid};

use super::attribute::{Mutability, Omitted};
use super::json::rename_texts;
use super::pick::{pick, pick_all_but};
use super::schema::{IndexedAttribute, ResourceType};
use super::schemas::common::{ID, META, SCHEMAS};
use super::schemas::user::ACTIVE;

/// The service provider's identifier of a resource: a UUID of version 7, so that ids are in the
/// order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(Uuid);

impl ResourceId {
    /// Generates a unique id that sorts after every id of an earlier time.
    pub fn generate(context: &ContextV7, moment: Timestamp) -> Self {
        let seconds = u64::try_from(moment.as_second()).unwrap_or_default();
        let nanos = u32::try_from(moment.subsec_nanosecond()).unwrap_or_default();
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(context, seconds, nanos)))
    }

    /// Parses an id in the form in which ids are served; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(Self(id))
    }

    /// Returns the bytes of the id in keys, which sort in the order of creation.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the URL of the resource with this id, below the URL of an endpoint's parent.
    pub fn location(self, base_url: &str, endpoint: &str) -> String {
        let mut id = [0; Self::LENGTH];
        let id = self.encode(&mut id);
        [base_url, "/", endpoint, "/", id].concat()
    }

    /// How many bytes it has as text.
    pub const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

    /// Returns it as text, which is put into `text`.
    pub fn encode(self, text: &mut [u8; Self::LENGTH]) -> &str {
        self.0.hyphenated().encode_lower(text)
    }

    /// Returns the id in a key.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The version of a resource: the number of times it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// The version of a resource that was just created.
    pub const FIRST: Self = Self(1);

    /// The version after one more change.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    /// The entity tag of the record alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        EntityTag::from(*self).fmt(f)
    }
}

/// The entity tag of a resource as it is shown (RFC 7644, section 3.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// The version of the record.
    pub version: Version,
    /// The digest of what is shown from other records; `None` if there is nothing.
    pub related: Option<u64>,
}

impl EntityTag {
    /// Parses the text between the quotation marks, as in `3` or `3.00000000000000ff`.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, related) = match text.split_once('.') {
            Some((version, related)) => (version, Some(u64::from_str_radix(related, 16).ok()?)),
            None => (text, None),
        };
        Some(Self { version: Version(version.parse().ok()?), related })
    }

    /// The part of the tag that follows the version of the record.
    fn suffix(related: Option<u64>) -> String {
        related.map_or_else(String::new, |digest| format!(".{digest:016x}"))
    }
}

impl From<Version> for EntityTag {
    fn from(version: Version) -> Self {
        Self { version, related: None }
    }
}

impl fmt::Display for EntityTag {
    /// The weak tag, as in `W/"3"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W/\"{}{}\"", self.version.0, Self::suffix(self.related))
    }
}

/// The metadata of a resource (RFC 7643, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The time of creation.
    pub created: Timestamp,
    /// The time of the last change.
    pub last_modified: Timestamp,
    /// The version.
    pub version: Version,
}

impl Meta {
    /// Reads the `meta` in the output of [`Resource::render`], which begins at `meta_at`; `None` if
    /// it is damaged.
    pub fn from_stored(json: &[u8], meta_at: usize, version: Version) -> Option<Self> {
        let meta = json.get(meta_at..)?.strip_prefix(b",\"meta\":")?.strip_suffix(b"}")?;
        let meta: Map<String, Value> = serde_json::from_slice(meta).ok()?;
        let moment = |name: &str| meta.get(name)?.as_str()?.parse().ok();
        Some(Self { created: moment("created")?, last_modified: moment("lastModified")?, version })
    }
}

/// The attributes of a resource, in canonical form: names as the schema spells them, in the
/// schema's order, without nulls and empty lists.
///
/// From a client's JSON it is built by [`super::validate`] alone, and changed by [`super::patch`].
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    attributes: Map<String, Value>,
}

impl Resource {
    pub(super) fn from_canonical(attributes: Map<String, Value>) -> Self {
        Self { attributes }
    }

    /// Parses the output of [`Resource::render`].
    ///
    /// # Errors
    ///
    /// The text is not output of `render`: the record is damaged.
    pub fn from_stored(json: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(Self { attributes: pick_all_but(json, &[SCHEMAS, ID, META])? })
    }

    /// The attributes by their canonical names, and those of extensions by the URN of each.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    /// The value of a top-level attribute by its canonical name, or of an extension by its URN.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name)
    }

    /// The value of an attribute of the base schema, or of the extension with that URN.
    pub fn value(&self, extension: Option<&str>, name: &str) -> Option<&Value> {
        match extension {
            Some(urn) => self.attributes.get(urn)?.get(name),
            None => self.attributes.get(name),
        }
    }

    /// Sets a top-level attribute to a value in canonical form; an empty list clears it.
    pub fn put(&mut self, resource_type: &ResourceType, name: &str, value: Value) {
        if value.as_array().is_some_and(Vec::is_empty) {
            self.attributes.shift_remove(name);
            return;
        }
        self.set(None, name, value);
        self.sort(resource_type);
    }

    fn set(&mut self, extension: Option<&str>, name: &str, value: Value) {
        match extension {
            None => {
                self.attributes.insert(name.to_owned(), value);
            }
            Some(urn) => match self.attributes.get_mut(urn) {
                Some(Value::Object(extended)) => {
                    extended.insert(name.to_owned(), value);
                }
                _ => {
                    let extended = Map::from_iter([(name.to_owned(), value)]);
                    self.attributes.insert(urn.to_owned(), Value::Object(extended));
                }
            },
        }
    }

    /// Whether this account is active.
    pub fn is_active(&self) -> bool {
        self.attributes.get(ACTIVE) == Some(&Value::Bool(true))
    }

    /// Returns the name of this resource for people.
    pub fn display(&self, resource_type: &ResourceType) -> Option<&str> {
        display_in(resource_type, &self.attributes)
    }

    /// Returns the name that no other resource of the type has or, without one, the name for people.
    pub fn name(&self, resource_type: &ResourceType) -> Option<&str> {
        name_in(resource_type, &self.attributes)
    }

    /// Replaces the ids that stand in a table, wherever they are in it.
    pub fn rename_ids(&mut self, ids: &HashMap<String, String>) {
        self.attributes.values_mut().for_each(|value| rename_texts(value, ids));
    }

    /// Removes and returns the members, which are not stored in the record.
    pub fn take_members(&mut self, resource_type: &ResourceType) -> Vec<Value> {
        let name = resource_type.members().map(|members| &members.name);
        match name.and_then(|name| self.attributes.shift_remove(name)) {
            Some(Value::Array(members)) => members,
            _ => Vec::new(),
        }
    }

    /// Returns the texts of this resource in the index on an attribute.
    pub fn indexed_values(&self, indexed: &IndexedAttribute<'_>) -> Vec<&str> {
        let Some(value) = self.value(indexed.extension, &indexed.attribute.name) else {
            return Vec::new();
        };
        let elements = match value {
            Value::Array(elements) => elements.as_slice(),
            single => std::slice::from_ref(single),
        };
        elements
            .iter()
            .filter_map(|element| match indexed.sub_attribute {
                Some(sub_attribute) => element.get(&sub_attribute.name)?.as_str(),
                None => element.as_str(),
            })
            .collect()
    }

    /// Sets omitted attributes to the value that their omission implies.
    ///
    /// `previous` is the resource that is replaced, if there is one.
    pub fn complete(&mut self, resource_type: &ResourceType, previous: Option<&Self>) {
        for (extension, attribute) in resource_type.own_attributes() {
            let name = &attribute.name;
            let kept = match (attribute.omitted, attribute.mutability) {
                (Omitted::TrueThenKept, _) => match previous {
                    Some(previous) => previous.value(extension, name).cloned(),
                    None => Some(Value::Bool(true)),
                },
                (Omitted::Cleared, Mutability::Immutable | Mutability::ReadOnly) => {
                    previous.and_then(|previous| previous.value(extension, name).cloned())
                }
                (Omitted::Cleared, Mutability::ReadWrite | Mutability::WriteOnly) => None,
            };
            if let (Some(value), None) = (kept, self.value(extension, name)) {
                self.set(extension, name, value);
            }
        }
        self.sort(resource_type);
    }

    /// The attributes; the caller must leave them in canonical form.
    pub(super) fn attributes_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.attributes
    }

    /// Puts the attributes in the schema's order, and leaves out those that it does not have.
    pub(super) fn sort(&mut self, resource_type: &ResourceType) {
        let names = || {
            let attributes = resource_type.common.iter().chain(&resource_type.schema.attributes);
            let extensions = resource_type.extensions.iter();
            let names = attributes.map(|attribute| &attribute.name);
            names.chain(extensions.map(|extension| &extension.schema.id))
        };
        // Most are in order already, and building a map hashes each name again.
        let mut unordered = self.attributes.keys().peekable();
        for name in names() {
            unordered.next_if_eq(&name);
        }
        if unordered.peek().is_none() {
            return;
        }
        let attributes = std::mem::take(&mut self.attributes).into_iter();
        let placed = attributes.filter_map(|(name, value)| {
            Some((names().position(|known| *known == name)?, name, value))
        });
        let mut placed: Vec<_> = placed.collect();
        placed.sort_unstable_by_key(|(place, ..)| *place);
        self.attributes = placed.into_iter().map(|(_, name, value)| (name, value)).collect();
    }

    /// Renders the resource in its stored form.
    pub fn render(&self, resource_type: &ResourceType, id: ResourceId, meta: &Meta) -> Rendered {
        let schemas: Vec<&str> = std::iter::once(resource_type.schema.id.as_str())
            .chain(
                resource_type
                    .extensions
                    .iter()
                    .map(|extension| extension.schema.id.as_str())
                    .filter(|urn| self.attributes.contains_key(*urn)),
            )
            .collect();
        let mut json = b"{\"schemas\":".to_vec();
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut json, &schemas);
        let _ = write!(json, ",\"id\":\"{id}\"");
        for (name, value) in &self.attributes {
            json.push(b',');
            let _ = serde_json::to_writer(&mut json, name);
            json.push(b':');
            let _ = serde_json::to_writer(&mut json, value);
        }
        let meta_at = json.len();
        let _ = write!(
            json,
            ",\"meta\":{{\"resourceType\":\"{}\",\"created\":\"{:.3}\",\"lastModified\":\"{:.3}\",\"version\":\"W/\\\"{}\\\"\"}}}}",
            resource_type.name, meta.created, meta.last_modified, meta.version.0,
        );
        Rendered { json, meta_at }
    }
}

/// A resource as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The JSON object, without `meta.location`.
    pub json: Vec<u8>,
    /// The byte offset of `,"meta":`.
    pub meta_at: usize,
}

/// Appends a stored resource to `out` in its served form: with the attributes outside its record,
/// which `relations` appends as `,"name":value`, and with its location and the digest of related
/// records in `meta`.
pub fn serve(
    stored: &[u8],
    meta_at: usize,
    related: Option<u64>,
    location: &str,
    relations: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    // The version stands last, so that the digest can be inserted behind it.
    const CLOSING: &[u8] = b"\\\"\"}}";
    let body = stored.strip_suffix(CLOSING).unwrap_or(stored);
    let (attributes, meta) = body.split_at_checked(meta_at).unwrap_or((body, &[]));
    out.reserve(stored.len() + location.len() + 16);
    out.extend_from_slice(attributes);
    relations(out);
    out.extend_from_slice(meta);
    out.extend_from_slice(EntityTag::suffix(related).as_bytes());
    out.extend_from_slice(b"\\\"\",\"location\":\"");
    out.extend_from_slice(location.as_bytes());
    out.extend_from_slice(b"\"}}");
}

fn display_in<'a>(
    resource_type: &ResourceType,
    attributes: &'a Map<String, Value>,
) -> Option<&'a str> {
    resource_type.display.iter().find_map(|name| attributes.get(*name)?.as_str())
}

fn name_in<'a>(
    resource_type: &ResourceType,
    attributes: &'a Map<String, Value>,
) -> Option<&'a str> {
    let unique = resource_type.name_attribute();
    let unique = unique.and_then(|name| attributes.get(&name.name)?.as_str());
    unique.or_else(|| display_in(resource_type, attributes))
}

/// As [`Resource::name`], of a stored resource of which nothing else is read.
///
/// # Errors
///
/// The text is not output of [`Resource::render`]: the record is damaged.
pub fn stored_name(
    resource_type: &ResourceType,
    json: &[u8],
) -> Result<Option<String>, serde_json::Error> {
    let unique = resource_type.name_attribute().map(|name| name.name.as_str());
    let names = resource_type.display.iter().copied().chain(unique).collect();
    Ok(name_in(resource_type, &pick(json, &names)?).map(ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::user;
    use serde_json::json;

    fn resource(value: Value) -> Resource {
        let Value::Object(attributes) = value else { panic!("an object") };
        Resource { attributes }
    }

    fn meta() -> Meta {
        let created = "2026-03-01T08:15:00Z".parse().unwrap();
        Meta { created, last_modified: created, version: Version(3) }
    }

    #[test]
    fn what_is_rendered_reads_back_and_is_served_with_its_location() {
        let user = resource(json!({
            "userName": "a\"b", "active": true,
            user::ENTERPRISE_USER: {"department": "bi"},
        }));
        let id = ResourceId::generate(&ContextV7::new(), Timestamp::UNIX_EPOCH);
        let rendered = user.render(&user::resource_type(), id, &meta());
        assert_eq!(Resource::from_stored(&rendered.json).unwrap(), user);
        let read = Meta::from_stored(&rendered.json, rendered.meta_at, Version(3));
        assert_eq!(read, Some(meta()));
        assert!(rendered.json[rendered.meta_at..].starts_with(b",\"meta\":{"));

        let mut served = Vec::new();
        let relations = |out: &mut Vec<u8>| out.extend_from_slice(b",\"x\":[]");
        let (json, meta_at) = (&rendered.json, rendered.meta_at);
        serve(json, meta_at, Some(0xab), "https://x/Users/1", relations, &mut served);
        let served: Value = serde_json::from_slice(&served).unwrap();
        assert_eq!(served["schemas"], json!([user::USER, user::ENTERPRISE_USER]));
        assert_eq!(served["id"], id.to_string());
        assert_eq!(served["x"], json!([]));
        assert_eq!(
            served["meta"],
            json!({"resourceType": "User", "created": "2026-03-01T08:15:00.000Z",
                   "lastModified": "2026-03-01T08:15:00.000Z", "version": "W/\"3.00000000000000ab\"",
                   "location": "https://x/Users/1"})
        );
    }

    #[test]
    fn active_is_true_at_first_and_then_stays() {
        let user_type = user::resource_type();
        let mut created = resource(json!({"userName": "a"}));
        created.complete(&user_type, None);
        assert_eq!(created.get("active"), Some(&json!(true)));
        let closed = resource(json!({"userName": "a", "active": false}));
        let mut replaced = resource(json!({"userName": "b"}));
        replaced.complete(&user_type, Some(&closed));
        assert_eq!(replaced.get("active"), Some(&json!(false)));
        let mut replaced = resource(json!({"userName": "b"}));
        replaced.complete(&user_type, Some(&resource(json!({"userName": "a"}))));
        assert_eq!(replaced.get("active"), None, "what a PATCH took away does not come back");
    }

    #[test]
    fn entity_tags_are_read_as_they_are_written() {
        for related in [None, Some(0), Some(u64::MAX)] {
            let tag = EntityTag { version: Version(7), related };
            let written = tag.to_string();
            let text = written.strip_prefix("W/\"").unwrap().strip_suffix('"').unwrap();
            assert_eq!(EntityTag::parse(text), Some(tag));
        }
        for text in ["", "x", ".", "7.", ".7", "7.x", "7.1.2", "7.10000000000000000"] {
            assert_eq!(EntityTag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_have_one_spelling() {
        let id = ResourceId::from_bytes([0xab; 16]);
        assert_eq!(ResourceId::parse(&id.to_string()), Some(id));
        assert_eq!(ResourceId::parse(&id.to_string().to_uppercase()), None);
        assert_eq!(ResourceId::parse(&id.to_string().replace('-', "")), None);
        assert_eq!(ResourceId::parse(""), None);
    }
}
