//! Index entries of stored resources.

use std::ops::ControlFlow;

use crate::directory::error::DirectoryError;
use crate::directory::transaction::Transaction;
use crate::scim::resource::ResourceId;
use crate::scim::schema::{IndexedAttribute, ResourceType};
use crate::store::{Read, StoreError, keys};
use crate::text::as_seen;

/// The resources that hold a value of an indexed attribute, in the order of creation.
pub(crate) fn holders(
    state: &dyn Read,
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    value: &str,
) -> Result<Vec<ResourceId>, StoreError> {
    if indexed.leaf().is_unique() {
        let holder = state.get(&keys::unique(resource_type.tag, indexed, value))?;
        return Ok(holder.and_then(|id| keys::trailing_id(&id)).into_iter().collect());
    }
    let prefix = keys::index_value(resource_type.tag, indexed, value);
    let mut ids = Vec::new();
    state.scan(&prefix, None, &mut |key, _| {
        ids.extend(keys::trailing_id(key));
        ControlFlow::Continue(())
    })?;
    Ok(ids)
}

/// The key of the index entry of a resource for a value.
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

/// The key of another entry that a unique value has, if it has unseen characters or outer blanks: that of the
/// value without them. It keeps others from taking a value that looks the same.
///
/// Values that were stored before there were such entries have none.
pub(crate) fn look_alike(
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    value: &str,
) -> Option<Vec<u8>> {
    let attribute = indexed.leaf();
    let seen = as_seen(value);
    let differs = seen.len() < value.len() && attribute.is_unique() && !attribute.case_exact;
    differs.then(|| keys::unique(resource_type.tag, indexed, &seen))
}

/// Sets the index entries that a resource needs now and removes those that it no longer needs.
pub(super) fn update(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    id: ResourceId,
    old: &[&str],
    new: &[&str],
) -> Result<(), DirectoryError> {
    if indexed.leaf().is_unique() {
        return update_unique(tx, resource_type, indexed, id, old, new);
    }
    let key = |value: &str| keys::index(resource_type.tag, indexed, value, id);
    let old: Vec<_> = old.iter().map(|value| key(value)).collect();
    let new: Vec<_> = new.iter().map(|value| key(value)).collect();
    for key in old.iter().filter(|key| !new.contains(key)) {
        tx.delete(key.clone());
    }
    for key in new {
        if !old.contains(&key) {
            tx.put(key, Vec::new());
        }
    }
    Ok(())
}

/// Sets and removes the entries of a unique index.
///
/// # Errors
///
/// [`DirectoryError::Taken`] if another resource has a value, or one that looks the same.
fn update_unique(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    indexed: &IndexedAttribute<'_>,
    id: ResourceId,
    old: &[&str],
    new: &[&str],
) -> Result<(), DirectoryError> {
    let keys_of = |value: &str| {
        let key = keys::unique(resource_type.tag, indexed, value);
        [Some(key), look_alike(resource_type, indexed, value)].into_iter().flatten()
    };
    let old: Vec<_> = old.iter().flat_map(|value| keys_of(value)).collect();
    let new: Vec<_> =
        new.iter().flat_map(|value| keys_of(value).map(move |key| (key, value))).collect();
    let is_held = |holder: Option<bytes::Bytes>, by_it: bool| {
        holder.is_some_and(|holder| (holder == id.as_bytes()[..]) == by_it)
    };
    for key in &old {
        if !new.iter().any(|(new, _)| new == key) && is_held(tx.get(key)?, true) {
            tx.delete(key.clone());
        }
    }
    for (key, value) in new {
        if old.contains(&key) {
            continue;
        }
        // Two values of one list may be equal, or differ in letter case alone.
        if is_held(tx.get(&key)?, false) {
            return Err(DirectoryError::Taken {
                kind: resource_type.name.clone(),
                attribute: indexed.leaf().name.clone(),
                value: (*value).to_owned(),
                is_name: resource_type
                    .name_attribute()
                    .is_some_and(|name| std::ptr::eq(name, indexed.leaf())),
            });
        }
        tx.put(key, id.as_bytes().to_vec());
    }
    Ok(())
}
