//! Index entries of stored resources.

use std::ops::ControlFlow;

use crate::directory::error::DirectoryError;
use crate::directory::transaction::Transaction;
use crate::scim::resource::ResourceId;
use crate::scim::schema::{IndexedAttribute, ResourceType};
use crate::store::{Read, StoreError, keys};

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

/// Sets the index entries that a resource needs now and removes those that it no longer needs.
pub(super) fn update(
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
            // Two values of one list may be equal, or differ in letter case alone.
            if tx.get(&key)?.is_some_and(|holder| holder != id.as_bytes()[..]) {
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
        } else {
            tx.put(key, Vec::new());
        }
    }
    Ok(())
}
