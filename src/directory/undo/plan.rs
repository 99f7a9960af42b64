//! The plan of an undo, made from the changes since a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::history::{BY_OPERATOR, ChangedItem, ChangedItems};
use super::report::{UndoAction, UndoReport, UndoRow};
use super::request::{Undo, UndoKind};
use crate::access::AccessNames;
use crate::directory::access::migrate::{UnknownInUse, rewrite_access};
use crate::directory::error::DirectoryError;
use crate::directory::membership::unstamped;
use crate::directory::stored::{self, StoredResource};
use crate::scim::registry::Registry;
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::ACTIVE;
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// The most characters of a value that the report shows.
const SHORT: usize = 40;
/// The approximate size of the index entries of a record, in bytes.
const INDEX_BYTES: usize = 600;
/// The approximate size of the two keys of a membership, in bytes.
const MEMBERSHIP_BYTES: usize = 80;
/// What a row says of an account that an operator has activated, and that becomes inactive again.
const NOT_HELD: &str = "clients may activate it again; `scimd user deactivate` keeps it inactive";
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
    /// Whether only its `active` goes back.
    pub(super) only_active: bool,
    /// Whether an operator has deactivated it: then it stays inactive.
    pub(super) is_deactivated: bool,
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

    /// What it is to be: its attributes then, with the names of the present catalogue.
    pub(super) fn target(
        &self,
        value: &Bytes,
        names: &AccessNames,
    ) -> Result<(StoredResource, Resource, Vec<String>), StoreError> {
        let (stored, mut attributes) = self.read(value)?;
        if self.is_deactivated {
            attributes.put(&self.resource_type, ACTIVE, false.into());
        }
        if let (true, Some(is)) = (self.only_active, &self.is) {
            let (stored, mut present) = self.read(is)?;
            present.put(&self.resource_type, ACTIVE, attributes.is_active().into());
            return Ok((stored, present, Vec::new()));
        }
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

/// Plans an undo; `state` is the present one, `users` are the accounts that it is limited to.
///
/// # Errors
///
/// `AccessInUse` for access that accounts had and the catalogue does not know, unless it is dropped;
/// `Storage`.
pub(super) fn plan(
    state: &dyn Read,
    mut changed: ChangedItems,
    registry: &Registry,
    present_names: AccessNames,
    asked: &Undo,
    users: Option<BTreeSet<ResourceId>>,
) -> Result<(Plan, UndoReport), DirectoryError> {
    let kept = changed.names.take().and_then(|names| serde_json::from_slice(&names).ok());
    let mut planner = Planner {
        asked,
        state,
        plan: Plan {
            records: Vec::new(),
            memberships: Vec::new(),
            names: kept.unwrap_or(present_names),
        },
        users,
        restored: BTreeSet::new(),
        kept: BTreeSet::new(),
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
    if !asked.drop_unknown_access && !in_use.is_empty() {
        return Err(DirectoryError::AccessInUse(in_use.sentence(
            "Add it to the configuration again, or undo with --drop-unknown-access to leave it out",
        )));
    }
    let mut resources: Vec<UndoRow> = rows.into_values().collect();
    resources.sort_by(|a, b| {
        (a.action, &a.kind, &a.name, &a.id).cmp(&(b.action, &b.kind, &b.name, &b.id))
    });
    let [members_back, members_out] = back_and_out;
    let report = UndoReport {
        since: asked.since,
        until: asked.until,
        connection: asked.connection.clone(),
        plan: String::new(),
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
    state: &'a dyn Read,
    plan: Plan,
    /// The accounts that the undo is limited to.
    users: Option<BTreeSet<ResourceId>>,
    /// The users and groups that are restored.
    restored: BTreeSet<ResourceId>,
    /// The users and groups that were created since, and stay with their memberships.
    kept: BTreeSet<ResourceId>,
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
        if item.was.is_none() && item.is.is_some() && !self.asked.delete_created {
            self.kept.insert(id);
        }
        let others = self.users.as_ref().is_some_and(|users| !users.contains(&id));
        if item.same_content() || !item.is_changed() || others {
            return Ok(());
        }
        let mut planned = Planned {
            resource_type: Arc::clone(resource_type),
            id,
            was: item.was.clone(),
            is: item.is.clone(),
            version: item.version,
            only_active: false,
            is_deactivated: resource_type.is_account
                && self.state.get(&keys::deactivated(id))?.is_some(),
            reached: item.reached,
        };
        let present = item.is.as_ref().map(|is| planned.read(is)).transpose()?;
        let past = item.was.as_ref().map(|was| planned.read(was)).transpose()?;
        let action = match (&past, &present) {
            (Some(_), None) if self.asked.wants(UndoKind::Deleted) => UndoAction::Restore,
            (None, Some(_)) if self.asked.delete_created => UndoAction::Remove,
            (None, Some(_)) if self.asked.only.is_empty() => UndoAction::Keep,
            (Some(_), Some(_)) if self.asked.wants(UndoKind::Attributes) => UndoAction::Revert,
            (Some((_, past)), Some((_, present)))
                if self.asked.wants(UndoKind::Deactivated)
                    && resource_type.is_account
                    && past.is_active()
                    && !present.is_active() =>
            {
                planned.only_active = true;
                UndoAction::Revert
            }
            _ => return Ok(()),
        };
        let target =
            item.was.as_ref().map(|was| planned.target(was, &self.plan.names)).transpose()?;
        let shown = target.as_ref().map(|(_, target, _)| target);
        let shown = shown.or_else(|| present.as_ref().map(|(_, present)| present));
        let Some(shown) = shown else { return Ok(()) };
        let mut row = UndoRow { action, ..row(resource_type, id, shown) };
        if let Some(connection) = &self.asked.connection {
            if !changed.by(item, connection) {
                return Ok(());
            }
            row.also_changed_by = changed.others(item, connection);
        }
        if action == UndoAction::Keep {
            row.also_changed_by.clear();
            self.rows.insert(id, row);
            return Ok(());
        }
        row.changed_later = item.is_changed_later();
        if row.changed_later || !row.also_changed_by.is_empty() {
            row.action = UndoAction::Skip;
            self.rows.insert(id, row);
            return Ok(());
        }
        if let (Some((was, target, gone)), Some((is, present))) = (&target, &present) {
            row.changes = differences(resource_type, present, target);
            let (old, new) = (is.record.manager(), was.record.manager());
            if old != new {
                let shown = |name: Option<&str>| name.unwrap_or("none").to_owned();
                row.changes.push(format!("connection: {} -> {}", shown(old), shown(new)));
            }
            let closes = resource_type.is_account && present.is_active() && !target.is_active();
            if closes && !planned.is_deactivated && changed.by(item, BY_OPERATOR) {
                row.changes.push(NOT_HELD.to_owned());
            }
            // Without the access that the catalogue no longer has, nothing differs.
            if row.changes.is_empty() && gone.is_empty() {
                return Ok(());
            }
        }
        if let Some((_, attributes, gone)) = &target {
            let name = attributes.name(resource_type).unwrap_or_default();
            gone.iter().for_each(|piece| self.in_use.note(piece, name));
        }
        if action == UndoAction::Restore {
            self.restored.insert(id);
        }
        if action != UndoAction::Revert || !row.changes.is_empty() {
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
        if item.was.as_ref().map(unstamped) == item.is.as_ref().map(unstamped)
            || self.users.as_ref().is_some_and(|users| !users.contains(&member))
            || [group, member].iter().any(|end| self.kept.contains(end))
        {
            return None;
        }
        let back = (item.was.is_some() != item.is.is_some()).then_some(item.was.is_some());
        let of_restored = [group, member].iter().any(|end| self.restored.contains(end));
        if !self.asked.wants(UndoKind::Memberships) && !of_restored {
            return None;
        }
        if self.asked.is_partial() {
            // The name that is shown follows the member.
            back?;
            if !item.is_membership_changed() {
                return None;
            }
            if item.is_membership_changed_later() {
                self.rows
                    .entry(group)
                    .or_insert_with(|| unnamed(group, UndoAction::Skip))
                    .changed_later = true;
                return None;
            }
        }
        if let Some(connection) = &self.asked.connection {
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
        changed_later: false,
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
