//! What every verb on resources has in common.

pub(crate) mod reindex;

use jiff::Timestamp;

use crate::access::Effective;
use crate::directory::Directory;
use crate::directory::access::effective;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Reference};
use crate::directory::transaction::Transaction;
use crate::event::{Event, Verb};
use crate::scim::error::ScimError;
use crate::scim::resource::{Meta, Resource, ResourceId, Version, serve};
use crate::scim::schema::{IndexedAttribute, ResourceType};
use crate::scim::schemas::access::ACCESS;
use crate::store::record::{self, Record};
use crate::store::{Read, StoreError, keys};
use crate::text::excerpt;

/// A resource, as the answer to a request.
#[derive(Clone, Debug)]
pub struct StoredResource {
    /// Its id.
    pub id: ResourceId,
    /// Its record.
    pub record: Record,
    /// What it refers to, by the attribute that does; empty where nobody asked.
    pub references: Vec<(String, Vec<Reference>)>,
    /// What its access comes to, where somebody asked.
    pub access: Option<Effective>,
}

impl StoredResource {
    /// A record of which nobody has asked yet what it refers to.
    pub(crate) fn new(id: ResourceId, record: Record) -> Self {
        Self { id, record, references: Vec::new(), access: None }
    }

    /// Appends the JSON of all of it, as it is served below a URL.
    pub fn serve(&self, base_url: &str, resource_type: &ResourceType, out: &mut Vec<u8>) {
        let location = format!("{base_url}/{}/{}", resource_type.endpoint, self.id);
        let ties = |out: &mut Vec<u8>| self.serve_ties(base_url, out);
        serve(&self.record.json, self.record.meta_at, &location, ties, out);
    }

    fn serve_ties(&self, base_url: &str, out: &mut Vec<u8>) {
        for (name, references) in &self.references {
            // A list of very many grows once.
            out.reserve(references.iter().map(|one| one.served_bytes(base_url)).sum());
            out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
            for (number, reference) in references.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                // Texts can always be written, and memory takes them.
                let _ = serde_json::to_writer(&mut *out, &reference.served(base_url));
            }
            out.push(b']');
        }
        if let Some(effective) = &self.access {
            let access = effective::served(effective, self.record.manager());
            out.extend_from_slice(format!(",\"{ACCESS}\":{access}").as_bytes());
        }
    }
}

impl Directory {
    /// One resource by its id, as a client gave it, with what it refers to in the wanted attributes.
    ///
    /// # Errors
    ///
    /// `NotFound`, also for what can't be an id; `Storage`.
    pub fn retrieve(
        &self,
        resource_type: &ResourceType,
        id: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<StoredResource, DirectoryError> {
        let id = parse_id(resource_type, id)?;
        let state = self.shared.store.as_ref();
        let stored = find(state, resource_type, id)?;
        self.with_references(resource_type, stored, wanted)
    }

    /// One resource by its id or by the value of an attribute that is unique, both in any letter case
    /// if the attribute is.
    ///
    /// # Errors
    ///
    /// As [`Directory::retrieve`].
    pub fn look_up(
        &self,
        resource_type: &ResourceType,
        attribute: &str,
        name: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<StoredResource, DirectoryError> {
        match self.retrieve(resource_type, &name.to_ascii_lowercase(), wanted) {
            Err(DirectoryError::NotFound { .. }) => {}
            found_or_failed => return found_or_failed,
        }
        let state = self.shared.store.as_ref();
        let unique = resource_type
            .indexed()
            .find(|indexed| indexed.leaf().is_unique() && indexed.leaf().name == attribute);
        let holder = match unique {
            Some(indexed) => state.get(&keys::unique(resource_type.tag, &indexed, name))?,
            None => None,
        };
        let id = holder.as_deref().and_then(keys::trailing_id);
        let stored = find(state, resource_type, id.ok_or_else(|| not_found(resource_type, name))?)?;
        self.with_references(resource_type, stored, wanted)
    }

    /// A resource with what it refers to, now, in the wanted attributes.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn with_references(
        &self,
        resource_type: &ResourceType,
        mut stored: StoredResource,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<StoredResource, DirectoryError> {
        self.refer(resource_type, &mut stored, wanted)?;
        Ok(stored)
    }

    /// Has a resource say what it refers to, now, in the wanted attributes.
    pub(crate) fn refer(
        &self,
        resource_type: &ResourceType,
        stored: &mut StoredResource,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(), DirectoryError> {
        let state = self.shared.store.as_ref();
        stored.references =
            membership::references(state, self.registry(), resource_type, stored.id, wanted)?;
        if resource_type.is_account && wanted(ACCESS) {
            stored.access = Some(self.access(resource_type, stored)?);
        }
        Ok(())
    }
}

/// The id that a client means.
pub(crate) fn parse_id(
    resource_type: &ResourceType,
    id: &str,
) -> Result<ResourceId, DirectoryError> {
    ResourceId::parse(id).ok_or_else(|| not_found(resource_type, id))
}

fn not_found(resource_type: &ResourceType, id: &str) -> DirectoryError {
    // What is no id of ours may be anything: it is not repeated in full.
    DirectoryError::NotFound { kind: resource_type.name.clone(), id: excerpt(id, 64).to_string() }
}

/// Finds a resource in any state.
pub(crate) fn find(
    state: &dyn Read,
    resource_type: &ResourceType,
    id: ResourceId,
) -> Result<StoredResource, DirectoryError> {
    let key = keys::record(resource_type.tag, id);
    let value = state.get(&key)?.ok_or_else(|| not_found(resource_type, &id.to_string()))?;
    Ok(StoredResource::new(id, decode(&key, &value)?))
}

/// Takes a record out of its envelope.
pub(crate) fn decode(key: &[u8], value: &bytes::Bytes) -> Result<Record, StoreError> {
    record::decode(value).ok_or_else(|| StoreError::damaged(key))
}

/// Takes a record that a scan came upon out of its envelope.
pub(crate) fn decode_scanned(
    state: &dyn Read,
    key: &[u8],
    value: &bytes::Bytes,
) -> Result<Record, StoreError> {
    match record::decode(value) {
        Some(record) => Ok(record),
        // Asking for it makes the store remember that it is damaged.
        None => Err(state.get(key).err().unwrap_or_else(|| StoreError::damaged(key))),
    }
}

/// The attributes of a record.
pub(crate) fn attributes(
    resource_type: &ResourceType,
    stored: &StoredResource,
) -> Result<Resource, StoreError> {
    Resource::from_stored(&stored.record.json)
        .map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, stored.id)))
}

/// What is known of a record.
pub(crate) fn meta(
    resource_type: &ResourceType,
    stored: &StoredResource,
) -> Result<Meta, StoreError> {
    Meta::from_stored(&stored.record.json, stored.record.meta_at, stored.record.version)
        .ok_or_else(|| StoreError::damaged(&keys::record(resource_type.tag, stored.id)))
}

/// Checks that the resource is in one of the versions that a client named, if it named any.
pub(crate) fn check_version(
    expected: Option<&[Version]>,
    present: Version,
) -> Result<(), DirectoryError> {
    match expected {
        Some(versions) if !versions.contains(&present) => {
            Err(DirectoryError::VersionMismatch { present })
        }
        _ => Ok(()),
    }
}

/// The moment of a change: never before the one that it follows, whatever the clock says.
pub(crate) fn not_before(now: Timestamp, previous: Timestamp) -> Timestamp {
    now.max(previous)
}

/// What is known of the next version of a resource.
pub(crate) fn next_meta(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    stored: &StoredResource,
) -> Result<Meta, DirectoryError> {
    let old = meta(resource_type, stored)?;
    tx.expect_version(keys::record(resource_type.tag, stored.id), old.version);
    Ok(Meta {
        last_modified: not_before(tx.now(), old.last_modified),
        version: old.version.next(),
        ..old
    })
}

/// Writes a resource again in its next version, its attributes as they are: something else that it
/// shows has changed.
pub(crate) fn touch(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    stored: &StoredResource,
    attributes: &Resource,
) -> Result<StoredResource, DirectoryError> {
    let meta = next_meta(tx, resource_type, stored)?;
    let manager = stored.record.manager();
    write(tx, resource_type, stored.id, &meta, attributes, Some(attributes), manager)
}

/// Writes a resource with its index entries, in place of `previous` if there is one; `manager` is the
/// name of the connection that manages it.
pub(crate) fn write(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    id: ResourceId,
    meta: &Meta,
    resource: &Resource,
    previous: Option<&Resource>,
    manager: Option<&str>,
) -> Result<StoredResource, DirectoryError> {
    let rendered = resource.render(resource_type, id, meta);
    let limit = tx.settings().max_resource_bytes;
    // What was larger already, under another configuration, may change as long as it does not grow.
    let grows = |previous: &Resource| {
        previous.render(resource_type, id, meta).json.len() < rendered.json.len()
    };
    if rendered.json.len() > limit && previous.is_none_or(grows) {
        return Err(ScimError::invalid_value(format!(
            "The {} would take {} bytes; at most {limit} are kept.",
            resource_type.name,
            rendered.json.len()
        ))
        .into());
    }
    let value = record::encode(meta.version, &rendered, manager);
    place(tx, resource_type, id, resource, previous, value)
}

/// Writes a resource that was here before, whatever its size; nothing is in its place.
pub(crate) fn put_back(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    id: ResourceId,
    meta: &Meta,
    resource: &Resource,
    manager: Option<&str>,
) -> Result<StoredResource, DirectoryError> {
    let rendered = resource.render(resource_type, id, meta);
    let value = record::encode(meta.version, &rendered, manager);
    place(tx, resource_type, id, resource, None, value)
}

/// Puts a record and its index entries in place of those of `previous`.
fn place(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    id: ResourceId,
    resource: &Resource,
    previous: Option<&Resource>,
    value: bytes::Bytes,
) -> Result<StoredResource, DirectoryError> {
    for indexed in resource_type.indexed() {
        let old = previous.map(|previous| previous.indexed_values(&indexed)).unwrap_or_default();
        update_index(tx, resource_type, &indexed, id, &old, &resource.indexed_values(&indexed))?;
    }
    let key = keys::record(resource_type.tag, id);
    let record = decode(&key, &value)?;
    tx.put(key, value);
    Ok(StoredResource::new(id, record))
}

/// Removes a resource with its index entries.
pub(crate) fn remove(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    id: ResourceId,
    previous: &Resource,
) -> Result<(), DirectoryError> {
    for indexed in resource_type.indexed() {
        let old = previous.indexed_values(&indexed);
        update_index(tx, resource_type, &indexed, id, &old, &[])?;
    }
    tx.delete(keys::record(resource_type.tag, id));
    Ok(())
}

/// The entry that a resource needs in an index for a value.
pub(crate) fn index_key(
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    id: ResourceId,
    value: &str,
) -> Vec<u8> {
    if indexed.leaf().is_unique() {
        keys::unique(resource_type.tag, indexed, value)
    } else {
        keys::index(resource_type.tag, indexed, value, id)
    }
}

/// Sets the index entries that a resource needs now and removes those that it no longer needs.
fn update_index(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    id: ResourceId,
    old: &[&str],
    new: &[&str],
) -> Result<(), DirectoryError> {
    let unique = indexed.leaf().is_unique();
    let key = |value: &str| index_key(resource_type, indexed, id, value);
    let old: Vec<_> = old.iter().map(|value| key(value)).collect();
    let new: Vec<_> = new.iter().map(|value| (key(value), value)).collect();
    for key in &old {
        if !new.iter().any(|(new, _)| new == key) {
            tx.delete(key.clone());
        }
    }
    for (key, value) in new {
        if old.contains(&key) {
            continue;
        }
        if unique {
            if tx.get(&key)?.is_some() {
                return Err(DirectoryError::Taken {
                    kind: resource_type.name.clone(),
                    attribute: indexed.leaf().name.clone(),
                    value: (*value).to_owned(),
                    is_name: resource_type
                        .name_attribute()
                        .is_some_and(|name| std::ptr::eq(name, indexed.leaf())),
                });
            }
            tx.expect_absent(key.clone());
            tx.put(key, id.as_bytes().to_vec());
        } else {
            tx.put(key, Vec::new());
        }
    }
    Ok(())
}

/// Changes how many resources of a type there are.
pub(crate) fn count(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    change: impl FnOnce(u64) -> u64,
) -> Result<(), DirectoryError> {
    let present = total(tx, resource_type)?;
    let key = keys::count(resource_type.tag).to_vec();
    tx.put(key, change(present).to_le_bytes().to_vec());
    Ok(())
}

/// How many resources of a type there are.
pub(crate) fn total(state: &dyn Read, resource_type: &ResourceType) -> Result<u64, StoreError> {
    let value = state.get(&keys::count(resource_type.tag))?;
    Ok(value.and_then(|value| value.as_ref().try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// The event of a change to a resource.
pub(crate) fn event(resource_type: &ResourceType, verb: Verb, id: ResourceId) -> Event {
    Event { kind: resource_type.name.to_ascii_lowercase(), verb, subject: id.to_string() }
}
