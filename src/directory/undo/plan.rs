//! The plan of an undo, made from the changes since a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::history::{ChangedItem, ChangedItems};
use super::report::{UndoAction, UndoReport, UndoRow};
use super::request::Undo;
use crate::access::AccessNames;
use crate::directory::access::migrate::{UnknownAccess, UnknownInUse, rewrite_access};
use crate::directory::error::DirectoryError;
use crate::directory::membership::unstamped;
use crate::directory::stored::{self, StoredResource};
use crate::scim::registry::Registry;
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;
use crate::store::StoreError;
use crate::store::keys::{self, Kind};

/// The most characters of a value that the report shows.
const SHORT: usize = 40;
/// The approximate size of the index entries of a record, in bytes.
const INDEX_BYTES: usize = 600;
/// The approximate size of the two keys of a membership, in bytes.
const MEMBERSHIP_BYTES: usize = 80;
/// The size of its two keys, in bytes.
const MEMBERSHIP_KEYS: usize = 2 * 33;

/// What an undo does, and the values that it relies on, since it is prepared while the writer goes on.
pub(super) struct Plan {
    /// The users and groups that are written, restored or removed.
    pub(super) records: Vec<Planned>,
    /// The memberships that come back, end, or change the shown name.
    pub(super) memberships: Vec<PlannedMembership>,
    /// The names of the catalogue at that moment.
    pub(super) names: AccessNames,
}

/// A user or group, as it was and as it is.
pub(super) struct Planned {
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) id: ResourceId,
    pub(super) was: Option<Bytes>,
    pub(super) is: Option<Bytes>,
    /// The highest version that it ever had.
    pub(super) version: u64,
    reached: Timestamp,
}

/// A membership, as it was and as it is.
pub(super) struct PlannedMembership {
    pub(super) group: ResourceId,
    pub(super) member: ResourceId,
    pub(super) was: Option<Bytes>,
    pub(super) is: Option<Bytes>,
    reached: Timestamp,
}

impl Planned {
    /// A record of it, with its attributes.
    pub(super) fn read(&self, value: &Bytes) -> Result<(StoredResource, Resource), StoreError> {
        read(&self.resource_type, self.id, value)
    }

    /// Its attributes then, with the names of the present catalogue.
    pub(super) fn target(
        &self,
        value: &Bytes,
        names: &AccessNames,
    ) -> Result<(StoredResource, Resource, Vec<String>), StoreError> {
        let (stored, mut attributes) = self.read(value)?;
        let gone = match self.resource_type.is_account {
            true => rewrite_access(&self.resource_type, names, &mut attributes),
            false => Vec::new(),
        };
        Ok((stored, attributes, gone))
    }
}

fn read(
    resource_type: &ResourceType,
    id: ResourceId,
    value: &Bytes,
) -> Result<(StoredResource, Resource), StoreError> {
    let stored =
        StoredResource::new(id, stored::decode(&keys::record(resource_type.tag, id), value)?);
    let attributes = stored::attributes(resource_type, &stored)?;
    Ok((stored, attributes))
}

impl Plan {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.memberships.is_empty()
    }

    /// The size of its changes in bytes: at least, and approximately.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let values = self
            .records
            .iter()
            .map(|one| &one.was)
            .chain(self.memberships.iter().map(|one| &one.was));
        let least = values.flatten().map(Bytes::len).sum::<usize>()
            + self.memberships.len() * MEMBERSHIP_KEYS;
        let about = self.sizes().map(|(_, size)| size).sum();
        (least, about)
    }

    /// The approximate size of each part, with the moment when that first had its present content.
    fn sizes(&self) -> impl Iterator<Item = (Timestamp, usize)> {
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let records =
            self.records.iter().map(move |one| (one.reached, size(&one.was) + INDEX_BYTES));
        let memberships = self
            .memberships
            .iter()
            .map(move |one| (one.reached, size(&one.was) + MEMBERSHIP_BYTES));
        records.chain(memberships)
    }

    /// The earliest moment since which no more than a share of the plan was changed, by its size; `None`
    /// if there is none.
    pub(super) fn later(&self, share: f64) -> Option<Timestamp> {
        let mut sizes: Vec<(Timestamp, usize)> = self.sizes().collect();
        sizes.sort_unstable_by_key(|(reached, _)| std::cmp::Reverse(*reached));
        let whole: usize = sizes.iter().map(|(_, size)| size).sum();
        let mut room = whole as f64 * share;
        // Changes of one moment fit as a whole or not at all.
        let (mut fits, mut trying) = (None, None);
        for (reached, size) in sizes {
            if trying != Some(reached) {
                (fits, trying) = (trying, Some(reached));
            }
            room -= size as f64;
            if room < 0.0 {
                return fits;
            }
        }
        None
    }
}

/// Plans an undo.
///
/// # Errors
///
/// `AccessInUse` for access that accounts had and the catalogue does not know, unless it is dropped;
/// `Storage`.
pub(super) fn plan(
    mut changed: ChangedItems,
    registry: &Registry,
    present_names: AccessNames,
    asked: &Undo,
) -> Result<(Plan, UndoReport), DirectoryError> {
    let kept = changed.names.take().and_then(|names| serde_json::from_slice(&names).ok());
    let mut planner = Planner {
        asked,
        plan: Plan {
            records: Vec::new(),
            memberships: Vec::new(),
            names: kept.unwrap_or(present_names),
        },
        rows: BTreeMap::new(),
        in_use: UnknownInUse::default(),
    };
    let records = std::mem::take(&mut changed.records);
    let memberships = std::mem::take(&mut changed.memberships);
    for (key, item) in &records {
        if let Some(Kind::Record(tag, id)) = keys::kind(key)
            && let Some(resource_type) = registry.by_tag(tag)
        {
            planner.record(&changed, resource_type, id, item)?;
        }
    }
    let groups: Vec<&Arc<ResourceType>> =
        registry.resource_types().iter().filter(|one| one.members().is_some()).collect();
    let mut back_and_out = [0, 0];
    for (key, item) in memberships {
        if let Some(Kind::Member(group, member)) = keys::kind(&key)
            && let Some(back) = planner.membership(&changed, group, member, item)
        {
            let [all_back, all_out] = &mut back_and_out;
            *if back { all_back } else { all_out } += 1;
        }
    }
    planner.name_groups(&records, &groups)?;
    let Planner { plan, rows, in_use, .. } = planner;
    if asked.unknown == UnknownAccess::Refuse && !in_use.is_empty() {
        return Err(DirectoryError::AccessInUse(
            in_use.sentence("Put it back into the configuration, or undo with --drop-unknown-access to do without it"),
        ));
    }
    let mut resources: Vec<UndoRow> = rows.into_values().collect();
    resources.sort_by(|a, b| {
        (a.action, &a.kind, &a.name, &a.id).cmp(&(b.action, &b.kind, &b.name, &b.id))
    });
    let [members_back, members_out] = back_and_out;
    let report = UndoReport {
        since: asked.since,
        connection: asked.connection.clone(),
        before: changed.before,
        upto: changed.upto,
        done: false,
        resources,
        members_back,
        members_out,
        members_without_end: 0,
    };
    Ok((plan, report))
}

struct Planner<'a> {
    asked: &'a Undo,
    plan: Plan,
    rows: BTreeMap<ResourceId, UndoRow>,
    in_use: UnknownInUse,
}

impl Planner<'_> {
    fn record(
        &mut self,
        changed: &ChangedItems,
        resource_type: &Arc<ResourceType>,
        id: ResourceId,
        item: &ChangedItem,
    ) -> Result<(), DirectoryError> {
        if item.same_content() {
            return Ok(());
        }
        let planned = Planned {
            resource_type: Arc::clone(resource_type),
            id,
            was: item.was.clone(),
            is: item.is.clone(),
            version: item.version,
            reached: item.reached,
        };
        let present = item.is.as_ref().map(|is| planned.read(is)).transpose()?;
        let target =
            item.was.as_ref().map(|was| planned.target(was, &self.plan.names)).transpose()?;
        let (action, changes, attributes) = match (&target, &present) {
            (Some((_, target, _)), None) => (UndoAction::Restore, Vec::new(), target),
            (None, Some((_, present))) => (UndoAction::Remove, Vec::new(), present),
            (Some((was, target, _)), Some((is, present))) => {
                let mut changes = differences(resource_type, present, target);
                let (old, new) = (is.record.manager(), was.record.manager());
                if old != new {
                    let shown = |name: Option<&str>| name.unwrap_or("none").to_owned();
                    changes.push(format!("connection: {} -> {}", shown(old), shown(new)));
                }
                (UndoAction::Revert, changes, target)
            }
            (None, None) => return Ok(()),
        };
        let mut row = row(resource_type, id, attributes);
        if let Some(connection) = &self.asked.connection {
            if !changed.by(item, connection) {
                return Ok(());
            }
            row.also_changed_by = changed.others(item, connection);
            if !row.also_changed_by.is_empty() {
                row.action = UndoAction::Skip;
                self.rows.insert(id, row);
                return Ok(());
            }
        }
        (row.action, row.changes) = (action, changes);
        if let Some((_, attributes, gone)) = &target {
            let name = attributes.name(resource_type).unwrap_or_default();
            gone.iter().for_each(|piece| self.in_use.note(piece, name));
        }
        // Without the access that the catalogue no longer has, nothing differs.
        if row.action != UndoAction::Revert || !row.changes.is_empty() {
            self.rows.insert(id, row);
            self.plan.records.push(planned);
        }
        Ok(())
    }

    /// Whether a membership comes back or ends, if it does either.
    fn membership(
        &mut self,
        changed: &ChangedItems,
        group: ResourceId,
        member: ResourceId,
        item: ChangedItem,
    ) -> Option<bool> {
        if item.was.as_ref().map(unstamped) == item.is.as_ref().map(unstamped) {
            return None;
        }
        let back = (item.was.is_some() != item.is.is_some()).then_some(item.was.is_some());
        if let Some(connection) = &self.asked.connection {
            // The name that is shown follows the member.
            back?;
            if !changed.by(&item, connection) {
                return None;
            }
            let others = changed.others(&item, connection);
            if !others.is_empty() {
                let row =
                    self.rows.entry(group).or_insert_with(|| unnamed(group, UndoAction::Skip));
                row.also_changed_by.extend(others);
                row.also_changed_by.sort();
                row.also_changed_by.dedup();
                return None;
            }
        }
        let ChangedItem { was, is, reached, .. } = item;
        self.plan.memberships.push(PlannedMembership { group, member, was, is, reached });
        if let Some(back) = back {
            let row = self.rows.entry(group).or_insert_with(|| unnamed(group, UndoAction::Revert));
            if row.action == UndoAction::Skip {
                // Its attributes stay, and these members don't.
                row.action = UndoAction::Revert;
            }
            *if back { &mut row.members_back } else { &mut row.members_out } += 1;
        }
        back
    }

    /// Adds the names of the groups whose members alone change.
    fn name_groups(
        &mut self,
        records: &BTreeMap<Vec<u8>, ChangedItem>,
        types: &[&Arc<ResourceType>],
    ) -> Result<(), DirectoryError> {
        for (id, unnamed) in self.rows.iter_mut().filter(|(_, row)| row.kind.is_empty()) {
            for resource_type in types {
                let Some(item) = records.get(&keys::record(resource_type.tag, *id)) else {
                    continue;
                };
                let Some(value) = item.is.as_ref().or(item.was.as_ref()) else { continue };
                let named = row(resource_type, *id, &read(resource_type, *id, value)?.1);
                (unnamed.kind, unnamed.name) = (named.kind, named.name);
            }
        }
        Ok(())
    }
}

fn row(resource_type: &ResourceType, id: ResourceId, attributes: &Resource) -> UndoRow {
    let name = resource_type.name_attribute().and_then(|name| attributes.get(&name.name)?.as_str());
    UndoRow {
        kind: resource_type.name.to_ascii_lowercase(),
        name: name.unwrap_or_default().to_owned(),
        ..unnamed(id, UndoAction::Revert)
    }
}

fn unnamed(id: ResourceId, action: UndoAction) -> UndoRow {
    UndoRow {
        kind: String::new(),
        id: id.to_string(),
        name: String::new(),
        action,
        changes: Vec::new(),
        members_back: 0,
        members_out: 0,
        also_changed_by: Vec::new(),
    }
}

/// The attributes that differ, with their values where those are short.
fn differences(resource_type: &ResourceType, present: &Resource, target: &Resource) -> Vec<String> {
    let mut changes = BTreeSet::new();
    for (extension, attribute) in resource_type.own_attributes() {
        let name = &attribute.name;
        let (old, new) = (present.value(extension, name), target.value(extension, name));
        if old != new {
            changes.insert(match (short(old), short(new)) {
                (Some(old), Some(new)) => format!("{name}: {old} -> {new}"),
                _ => name.clone(),
            });
        }
    }
    changes.into_iter().collect()
}

/// A value that is short enough for the report.
fn short(value: Option<&Value>) -> Option<String> {
    match value {
        None => Some("none".to_owned()),
        Some(Value::String(text)) if text.chars().count() <= SHORT => Some(text.clone()),
        Some(simple @ (Value::Bool(_) | Value::Number(_))) => Some(simple.to_string()),
        Some(_) => None,
    }
}
