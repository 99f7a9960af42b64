//! Resources as they are stored: records, their index entries and counts.

pub(crate) mod index;
pub(crate) mod reindex;

use jiff::Timestamp;
use serde_json::Value;

use crate::directory::error::DirectoryError;
use crate::directory::may_grant;
use crate::directory::transaction::Transaction;
use crate::event::{Event, Verb};
use crate::scim::error::ScimError;
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::schema::ResourceType;
use crate::store::record::{self, Record};
use crate::store::{Read, StoreError, keys};
use crate::text::{excerpt, is_unseen};

/// A resource as it is stored.
#[derive(Clone, Debug)]
pub struct StoredResource {
    /// Its id.
    pub id: ResourceId,
    /// Its record.
    pub record: Record,
}

impl StoredResource {
    pub(crate) fn new(id: ResourceId, record: Record) -> Self {
        Self { id, record }
    }
}

/// Parses the id that a client gave.
pub(crate) fn parse_id(
    resource_type: &ResourceType,
    id: &str,
) -> Result<ResourceId, DirectoryError> {
    ResourceId::parse(id).ok_or_else(|| not_found(resource_type, id))
}

pub(crate) fn not_found(resource_type: &ResourceType, id: &str) -> DirectoryError {
    // A text that is not an id may be of any length: it is not repeated in full.
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

/// Takes a record that a scan found out of its envelope.
pub(crate) fn decode_scanned(
    state: &dyn Read,
    key: &[u8],
    value: &bytes::Bytes,
) -> Result<Record, StoreError> {
    match record::decode(value) {
        Some(record) => Ok(record),
        // Reading it makes the store mark the database for a rebuild.
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

/// The metadata of a record.
pub(crate) fn meta(
    resource_type: &ResourceType,
    stored: &StoredResource,
) -> Result<Meta, StoreError> {
    Meta::from_stored(&stored.record.json, stored.record.meta_at, stored.record.version)
        .ok_or_else(|| StoreError::damaged(&keys::record(resource_type.tag, stored.id)))
}

/// Checks that the resource is in one of the versions that the client accepts, if it named any.
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

/// The metadata of the next version of a resource.
pub(crate) fn next_meta(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    stored: &StoredResource,
) -> Result<Meta, DirectoryError> {
    let old = meta(resource_type, stored)?;
    Ok(Meta {
        last_modified: not_before(tx.now(), old.last_modified),
        version: old.version.next(),
        ..old
    })
}

/// Writes a resource in its next version with the same attributes, because its relations have
/// changed.
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
    check_new_name(resource_type, resource, previous)?;
    may_grant::check_written(tx, resource_type, resource, previous, manager)?;
    let rendered = resource.render(resource_type, id, meta);
    let limit = tx.settings().local.max_resource_bytes;
    // A resource that was larger already, under another configuration, may change if it does not grow.
    let grows = |previous: &Resource| {
        previous.render(resource_type, id, meta).json.len() < rendered.json.len()
    };
    if rendered.json.len() > limit && previous.is_none_or(grows) {
        return Err(ScimError::invalid_value(format!(
            "The {} would have {} bytes; at most {limit} are allowed.",
            resource_type.name,
            rendered.json.len()
        ))
        .into());
    }
    let value = record::encode(meta.version, &rendered, manager);
    place(tx, resource_type, id, resource, previous, value)
}

/// Checks that the name of an account, unless it had it before, is as its readers see it.
///
/// # Errors
///
/// `invalidValue`.
fn check_new_name(
    resource_type: &ResourceType,
    resource: &Resource,
    previous: Option<&Resource>,
) -> Result<(), ScimError> {
    let Some(attribute) = resource_type.name_attribute().filter(|_| resource_type.is_account)
    else {
        return Ok(());
    };
    let Some(new) = resource.get(&attribute.name).and_then(Value::as_str) else { return Ok(()) };
    let old = previous.and_then(|previous| previous.get(&attribute.name)?.as_str());
    if old == Some(new) {
        return Ok(());
    }
    let attribute = &attribute.name;
    if let Some(unseen) = new.chars().find(|character| is_unseen(*character)) {
        let code = u32::from(unseen);
        return Err(ScimError::invalid_value(format!(
            "\"{attribute}\" contains the invisible character U+{code:04X}; remove it."
        )));
    }
    if new.trim() != new {
        return Err(ScimError::invalid_value(format!(
            "\"{attribute}\" begins or ends with a space; remove it."
        )));
    }
    Ok(())
}

/// Writes a resource that existed before, whatever its size.
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
        index::update(tx, resource_type, &indexed, id, &old, &resource.indexed_values(&indexed))?;
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
        index::update(tx, resource_type, &indexed, id, &old, &[])?;
    }
    tx.delete(keys::record(resource_type.tag, id));
    Ok(())
}

/// Changes the count of resources of a type.
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

/// The number of resources of a type.
pub(crate) fn total(state: &dyn Read, resource_type: &ResourceType) -> Result<u64, StoreError> {
    let key = keys::count(resource_type.tag);
    let Some(value) = state.get(&key)? else { return Ok(0) };
    let bytes = value.as_ref().try_into().map_err(|_| StoreError::damaged(&key))?;
    Ok(u64::from_le_bytes(bytes))
}

/// The event of a change to a resource.
pub(crate) fn event(resource_type: &ResourceType, verb: Verb, id: ResourceId) -> Event {
    Event { kind: resource_type.name.to_ascii_lowercase(), verb, subject: id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schemas::{group, user};
    use serde_json::json;

    #[test]
    fn a_name_that_was_stored_before_it_was_refused_stays() {
        let named = |name: &str| {
            let attributes = json!({"userName": name, "displayName": name});
            Resource::from_stored(attributes.to_string().as_bytes()).unwrap()
        };
        let check = |new: &str, old: Option<&str>| {
            let old = old.map(named);
            check_new_name(&user::resource_type(), &named(new), old.as_ref()).is_ok()
        };
        for unseen in [" ada", "a\u{200b}da"] {
            assert!(check(unseen, Some(unseen)) && !check(unseen, None));
            assert!(!check(unseen, Some("ada")) && check("ada", Some(unseen)));
            assert!(check_new_name(&group::resource_type(), &named(unseen), None).is_ok());
        }
    }
}
