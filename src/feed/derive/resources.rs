//! Events of accounts and groups: created, changed, deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::emit::{Emitter, put_texts};
use super::members::MemberChanges;
use super::{Change, difference};
use crate::directory::DirectoryError;
use crate::directory::membership::find_any;
use crate::directory::stored;
use crate::feed::event::EventType;
use crate::scim::pick::pick_differing;
use crate::scim::projection::Projection;
use crate::scim::resource::{ResourceId, serve};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::{ACTIVE, ENTITLEMENTS, ROLES};
use crate::store::StoreError;
use crate::store::keys::{self, Kind};
use crate::store::record::Record;

/// How many members an event names at most.
const MEMBERS: usize = 1_000;
/// The attribute of a group that stands for its members.
const MEMBERS_PATH: &str = "members";

/// A record that a frame has written.
pub(super) struct WrittenRecord {
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) before: Option<Record>,
    pub(super) after: Option<Record>,
}

/// The records that a frame has written.
#[derive(Default)]
pub(super) struct WrittenRecords {
    /// The accounts whose own access may differ.
    pub(super) accounts: BTreeSet<(u8, ResourceId)>,
    pub(super) groups: BTreeMap<ResourceId, WrittenRecord>,
}

impl Change<'_> {
    /// Emits the events of accounts; answers which records were written.
    pub(super) fn records(
        &self,
        emitter: &mut Emitter<'_>,
    ) -> Result<WrittenRecords, DirectoryError> {
        let mut written = WrittenRecords::default();
        for write in &self.frame.writes {
            let Some(Kind::Record(tag, id)) = keys::kind(&write.key) else { continue };
            let Some(resource_type) = self.after.settings.registry.by_tag(tag) else { continue };
            let before = self.before.state.get(&write.key)?;
            let read = |value: Option<&Bytes>| {
                value.map(|value| stored::decode(&write.key, value)).transpose()
            };
            let (before, after) = (read(before.as_ref())?, read(write.value.as_ref())?);
            let resource_type = Arc::clone(resource_type);
            let record = WrittenRecord { resource_type, before, after };
            if record.resource_type.is_account {
                if account(id, &record, emitter)? {
                    written.accounts.insert((tag, id));
                }
            } else if record.resource_type.members().is_some() {
                written.groups.insert(id, record);
            }
        }
        Ok(written)
    }

    /// Emits the events of groups.
    pub(super) fn groups(
        &self,
        records: &WrittenRecords,
        members: &BTreeMap<ResourceId, MemberChanges>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), DirectoryError> {
        let ids: BTreeSet<ResourceId> =
            records.groups.keys().chain(members.keys()).copied().collect();
        let none = MemberChanges::default();
        for id in ids {
            let members = members.get(&id).unwrap_or(&none);
            match records.groups.get(&id) {
                Some(record) => group(id, record, members, emitter)?,
                None => {
                    let registry = &self.after.settings.registry;
                    let is_group = |one: &ResourceType| one.members().is_some();
                    // One that was never there, or is deleted for long, has no events.
                    if let Some((resource_type, found)) =
                        find_any(self.after.state, registry, id, is_group)?
                    {
                        let (before, after) = (Some(found.record.clone()), Some(found.record));
                        let record = WrittenRecord { resource_type, before, after };
                        group(id, &record, members, emitter)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Emits the event of an account, if there is one; answers whether its own access may differ.
fn account(
    id: ResourceId,
    record: &WrittenRecord,
    emitter: &mut Emitter<'_>,
) -> Result<bool, DirectoryError> {
    let resource_type = &record.resource_type;
    let mut may_differ = true;
    let (event_type, changed) = match (&record.before, &record.after) {
        (None, None) => return Ok(false),
        (None, Some(_)) => (EventType::UserCreated, Vec::new()),
        (Some(_), None) => (EventType::UserDeleted, Vec::new()),
        (Some(before), Some(after)) if content(before) == content(after) => return Ok(false),
        (Some(before), Some(after)) => {
            let [before, after] = differing(resource_type, id, before, after)?;
            may_differ = [ACTIVE, ENTITLEMENTS, ROLES]
                .iter()
                .any(|name| before.contains_key(*name) || after.contains_key(*name));
            let is_active = |one: &Map<String, Value>| one.get(ACTIVE) == Some(&Value::Bool(true));
            let event_type = match (is_active(&before), is_active(&after)) {
                (false, true) => EventType::UserActivated,
                (true, false) => EventType::UserDeactivated,
                _ => EventType::UserUpdated,
            };
            (event_type, difference::changed(resource_type, &before, &after))
        }
    };
    let resource = shown(resource_type, id, record.after.as_ref(), &emitter.base_url)?;
    emitter.emit(event_type, resource_type, id, &changed, |json| {
        json.extend_from_slice(&resource);
    })?;
    Ok(may_differ)
}

fn group(
    id: ResourceId,
    record: &WrittenRecord,
    members: &MemberChanges,
    emitter: &mut Emitter<'_>,
) -> Result<(), DirectoryError> {
    let resource_type = &record.resource_type;
    let (mut event_type, mut changed) = match (&record.before, &record.after) {
        (None, None) => return Ok(()),
        (Some(_), None) => {
            return emitter.emit(EventType::GroupDeleted, resource_type, id, &[], |_| {});
        }
        (None, Some(_)) => (EventType::GroupCreated, Vec::new()),
        (Some(before), Some(after)) if content(before) == content(after) => {
            (EventType::GroupUpdated, Vec::new())
        }
        (Some(before), Some(after)) => {
            let [before, after] = differing(resource_type, id, before, after)?;
            (EventType::GroupUpdated, difference::changed(resource_type, &before, &after))
        }
    };
    let resource = shown(resource_type, id, record.after.as_ref(), &emitter.base_url)?;
    let mut parts = members.parts(MEMBERS);
    if event_type == EventType::GroupUpdated && !members.is_empty() {
        changed.push(MEMBERS_PATH.to_owned());
    }
    if event_type == EventType::GroupUpdated && changed.is_empty() {
        return Ok(());
    }
    loop {
        let part = parts.next();
        emitter.emit(event_type, resource_type, id, &changed, |json| {
            json.extend_from_slice(&resource);
            if let Some((added, removed)) = part {
                json.extend_from_slice(b",\"members\":{\"added\":");
                put_texts(json, added.iter().map(|(_, id)| id));
                json.extend_from_slice(b",\"removed\":");
                put_texts(json, removed.iter().map(|(_, id)| id));
                json.push(b'}');
            }
        })?;
        if parts.len() == 0 {
            return Ok(());
        }
        // What one event has no room for follows in further ones.
        event_type = EventType::GroupUpdated;
        changed = vec![MEMBERS_PATH.to_owned()];
    }
}

/// What consumers see of a record, less its version and times.
fn content(record: &Record) -> &[u8] {
    record.json.get(..record.meta_at).unwrap_or(&record.json)
}

/// The attributes that two versions of a record do not have alike.
fn differing(
    resource_type: &ResourceType,
    id: ResourceId,
    before: &Record,
    after: &Record,
) -> Result<[Map<String, Value>; 2], StoreError> {
    pick_differing(&before.json, &after.json)
        .map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, id)))
}

/// The field with a resource as it is served in the form of the RFC, without its relations; nothing for one that is gone.
pub(super) fn shown(
    resource_type: &ResourceType,
    id: ResourceId,
    record: Option<&Record>,
    base_url: &str,
) -> Result<Vec<u8>, StoreError> {
    let Some(record) = record else { return Ok(Vec::new()) };
    let mut json = b",\"resource\":".to_vec();
    let location = format!("{base_url}/{}/{id}", resource_type.endpoint);
    if resource_type.served_as_stored {
        serve(&record.json, record.meta_at, None, &location, |_| {}, &mut json);
        return Ok(json);
    }
    let mut whole = Vec::new();
    serve(&record.json, record.meta_at, None, &location, |_| {}, &mut whole);
    let whole = serde_json::from_slice(&whole)
        .map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, id)))?;
    super::emit::put(&mut json, &Projection::everything().apply(resource_type, whole));
    Ok(json)
}
