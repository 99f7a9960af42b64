//! Indexes follow the schemas: an operator may make an attribute unique that was not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::directory::error::DirectoryError;
use crate::directory::stored::{self, StoredResource};
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::scim::attribute::Attribute;
use crate::scim::schema::{Registry, ResourceType};
use crate::store::{Change, Store, StoreError, Write, keys};

/// How many index entries are changed at once.
const STEP: usize = 10_000;

/// Brings the indexes in line with the schemas, if those have changed since they were kept.
///
/// # Errors
///
/// [`StoreError::Folder`] naming two resources that share a value which must be unique now; then
/// nothing has changed. [`DirectoryError::Storage`].
pub(crate) fn follow_schemas(
    store: &dyn Store,
    registry: &Registry,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    let wanted = fingerprint(registry);
    let kept = match store.get(keys::INDEXES)? {
        Some(kept) => String::from_utf8_lossy(&kept).into_owned(),
        None => fingerprint(&Registry::built_in()),
    };
    if kept == wanted {
        return Ok(());
    }
    let mut entries = BTreeMap::new();
    for resource_type in registry.resource_types() {
        collect(store, resource_type, &mut entries)?;
    }
    let mut writes = Vec::new();
    for kind in keys::INDEX_KINDS {
        store.scan(&kind, None, &mut |key, value| {
            match entries.get(key) {
                Some(wanted) if *wanted == value => drop(entries.remove(key)),
                Some(_) => {}
                None => writes.push(Write { key: key.to_vec(), value: None }),
            }
            ControlFlow::Continue(())
        })?;
    }
    writes.extend(entries.into_iter().map(|(key, value)| Write { key, value: Some(value) }));
    writes.push(Write { key: keys::INDEXES.to_vec(), value: Some(wanted.into()) });
    tracing::info!(entries = writes.len() - 1, "the schemas have changed: indexes follow");
    for step in writes.chunks(STEP) {
        let event =
            Event { kind: "index".to_owned(), verb: Verb::Reindexed, subject: String::new() };
        let details = Details::default();
        let head = Head { time: now, actor: Actor::System, event, details };
        store.commit(vec![Change { expectations: Vec::new(), writes: step.to_vec(), head }])?;
    }
    Ok(())
}

/// What tells the indexes of one set of schemas from those of another.
pub(crate) fn fingerprint(registry: &Registry) -> String {
    let mut lines = Vec::new();
    for resource_type in registry.resource_types() {
        for indexed in resource_type.indexed() {
            let Attribute { name, uniqueness, case_exact, .. } = indexed.leaf();
            lines.push(format!(
                "{} {} {} {name} {} {case_exact}",
                resource_type.name,
                indexed.extension.unwrap_or_default(),
                indexed.attribute.name,
                uniqueness.as_str(),
            ));
        }
    }
    lines.join("\n")
}

/// Every index entry that the resources of a type need.
fn collect(
    store: &dyn Store,
    resource_type: &ResourceType,
    entries: &mut BTreeMap<Vec<u8>, Bytes>,
) -> Result<(), DirectoryError> {
    let mut problem = Ok(());
    store.scan(&keys::records(resource_type.tag), None, &mut |key, value| {
        problem = collect_one(store, resource_type, key, &value, entries);
        if problem.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    problem
}

fn collect_one(
    store: &dyn Store,
    resource_type: &ResourceType,
    key: &[u8],
    value: &Bytes,
    entries: &mut BTreeMap<Vec<u8>, Bytes>,
) -> Result<(), DirectoryError> {
    let Some(id) = keys::trailing_id(key) else { return Ok(()) };
    let stored = StoredResource::new(id, stored::decode_scanned(store, key, value)?);
    let attributes = stored::attributes(resource_type, &stored)?;
    for indexed in resource_type.indexed() {
        for value in attributes.indexed_values(&indexed) {
            let key = stored::index_key(resource_type, &indexed, id, value);
            let entry = if indexed.leaf().is_unique() {
                Bytes::copy_from_slice(id.as_bytes())
            } else {
                Bytes::new()
            };
            let other = entries.insert(key, entry).filter(|other| *other != id.as_bytes()[..]);
            if let (true, Some(other)) = (indexed.leaf().is_unique(), other) {
                let other = keys::trailing_id(&other).map(|id| id.to_string()).unwrap_or_default();
                return Err(StoreError::Folder(format!(
                    "the configuration makes {} unique, and the {} {id} and {other} share the value \"{}\"; \
                     change one of them first",
                    indexed.leaf().name,
                    resource_type.endpoint,
                    value.escape_debug()
                ))
                .into());
            }
        }
    }
    Ok(())
}
