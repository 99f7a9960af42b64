//! Reindexing after a change of the schemas, as when an operator makes an attribute unique.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::directory::error::DirectoryError;
use crate::directory::stored::{self, StoredResource};
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::log::{Append, Log, LogEntry, Write};
use crate::scim::attribute::Attribute;
use crate::scim::canonical::{MAX_INDEXED_CHARS, too_long_for_index};
use crate::scim::registry::Registry;
use crate::scim::schema::ResourceType;
use crate::store::{Store, StoreError, follow, keys};

/// The most index entries of one change.
const STEP: usize = 10_000;
/// The most bytes of one change.
const STEP_BYTES: usize = 8 * 1024 * 1024;
/// The number of attempts when another writer of the log is faster.
const ATTEMPTS: usize = 64;

/// Brings the indexes in line with the schemas, if those have changed since they were kept.
///
/// # Errors
///
/// [`StoreError::Folder`] naming two resources that share a value which must be unique now, or one whose
/// value is too long for an index; then nothing has changed. [`DirectoryError::Storage`].
pub(crate) fn follow_schemas(
    log: &dyn Log,
    store: &dyn Store,
    registry: &Registry,
    now: Timestamp,
) -> Result<(), DirectoryError> {
    for _ in 0..ATTEMPTS {
        let wanted = fingerprint(registry);
        let kept = match store.get(keys::INDEXES)? {
            Some(kept) => String::from_utf8_lossy(&kept).into_owned(),
            None => fingerprint(&Registry::built_in()),
        };
        if kept == wanted || reindex(log, store, registry, wanted, now)? {
            return Ok(());
        }
        // Another writer was faster: the computed entries may be out of date.
        follow::read_on(log, store, &mut |frames| store.apply(frames))?;
    }
    Err(DirectoryError::Busy)
}

/// Changes index entries until they are those of the schemas; returns whether that was done. If not,
/// another writer was faster at some step, and the rest is to be worked out again.
fn reindex(
    log: &dyn Log,
    store: &dyn Store,
    registry: &Registry,
    wanted: String,
    now: Timestamp,
) -> Result<bool, DirectoryError> {
    let (mut entries, mut look_alikes) = (BTreeMap::new(), BTreeMap::new());
    for resource_type in registry.resource_types() {
        collect(store, resource_type, &mut entries, &mut look_alikes)?;
    }
    // A value itself goes before what only looks like it.
    for (key, holder) in look_alikes {
        entries.entry(key).or_insert(holder);
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
    tracing::info!(entries = writes.len() - 1, "schemas changed; updating indexes");
    for writes in steps(writes) {
        store.check_writable()?;
        let event =
            Event { kind: "index".to_owned(), verb: Verb::Reindexed, subject: String::new() };
        let head = Head { time: now, actor: Actor::System, event, details: Details::default() };
        match log.append(vec![LogEntry { head, writes }], store.applied()) {
            Ok(Append::Done(frames)) => store.apply(&frames)?,
            Ok(Append::Moved(_)) => return Ok(false),
            Err(error) => return Err(StoreError::from(error).into()),
        }
    }
    Ok(true)
}

/// Divides writes into changes of bounded size.
fn steps(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let mut steps = vec![Vec::new()];
    let mut bytes = 0;
    for write in writes {
        bytes += write.bytes();
        match steps.last_mut() {
            Some(step) if step.len() < STEP && bytes <= STEP_BYTES => step.push(write),
            _ => {
                bytes = write.bytes();
                steps.push(vec![write]);
            }
        }
    }
    steps
}

/// A text that distinguishes the indexes of one set of schemas from those of another.
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

/// Index entries by their keys.
type Entries = BTreeMap<Vec<u8>, Bytes>;

/// Every index entry that the resources of a type need.
fn collect(
    store: &dyn Store,
    resource_type: &ResourceType,
    entries: &mut Entries,
    look_alikes: &mut Entries,
) -> Result<(), DirectoryError> {
    let mut problem = Ok(());
    store.scan(&keys::records(resource_type.tag), None, &mut |key, value| {
        problem = collect_one(store, resource_type, key, &value, entries, look_alikes);
        if problem.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    problem
}

fn collect_one(
    store: &dyn Store,
    resource_type: &ResourceType,
    key: &[u8],
    value: &Bytes,
    entries: &mut Entries,
    look_alikes: &mut Entries,
) -> Result<(), DirectoryError> {
    let Some(id) = keys::trailing_id(key) else { return Ok(()) };
    let stored = StoredResource::new(id, stored::decode_scanned(store, key, value)?);
    let attributes = stored::attributes(resource_type, &stored)?;
    for indexed in resource_type.indexed() {
        for value in attributes.indexed_values(&indexed) {
            if let Some(count) = too_long_for_index(value) {
                return Err(StoreError::Folder(format!(
                    "the configuration indexes {}, and the value of {id} in {} has {count} characters; at most \
                     {MAX_INDEXED_CHARS} can be indexed: change it first",
                    indexed.leaf().name,
                    resource_type.endpoint,
                ))
                .into());
            }
            if let Some(key) = stored::index::look_alike(resource_type, &indexed, value) {
                look_alikes.entry(key).or_insert_with(|| Bytes::copy_from_slice(id.as_bytes()));
            }
            let key = stored::index::index_key(resource_type, &indexed, id, value);
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
