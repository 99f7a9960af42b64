//! From which accounts a change takes something.
//!
//! An account loses something if it is deleted, if it is deactivated, if it names fewer roles or
//! entitlements, or if it leaves a group, be it itself or through a group that it is in. A group that
//! is known by another name, so that a grant is no longer for it, takes that from all who are in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::access::{GroupOfAccount, loses_grant};
use crate::directory::access::effective;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{Extent, Marker, Voids, visit_members};
use crate::directory::settings::Settings;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::PendingChange;
use crate::scim::resource::{ResourceId, pick};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::{ACTIVE, ENTITLEMENTS, ROLES};
use crate::store::keys::{self, Kind};
use crate::store::{Read, StoreError};

/// The accounts that lose something by changes to a state; of more than `enough` not all.
///
/// # Errors
///
/// `Storage`.
pub(super) fn of(
    state: &dyn Read,
    settings: &Settings,
    changes: &[PendingChange],
    enough: u64,
) -> Result<HashSet<ResourceId>, DirectoryError> {
    let writes = changes.iter().flat_map(|change| &change.writes);
    let last: BTreeMap<&[u8], Option<&Bytes>> =
        writes.map(|write| (write.key.as_slice(), write.value.as_ref())).collect();
    let voids = Voids::load(state)?;
    let mut losses = Losses { state, settings, last: &last, voids, enough, lost: HashSet::new() };
    for (&key, &value) in &last {
        match keys::kind(key) {
            Some(Kind::Record(tag, id)) => losses.record(key, tag, id, value)?,
            Some(Kind::Member(group, member)) if value.is_none() => {
                if let Some(value) = state.get(&keys::member(group, member))? {
                    losses.member(&value, member)?;
                }
            }
            Some(Kind::Void(id)) => {
                if let Some(value) = value {
                    losses.voided(id, &Marker::decode(key, value)?)?;
                }
            }
            _ => {}
        }
    }
    Ok(losses.lost)
}

struct Losses<'a> {
    state: &'a dyn Read,
    settings: &'a Settings,
    /// What the changes set and remove, in the end.
    last: &'a BTreeMap<&'a [u8], Option<&'a Bytes>>,
    /// Memberships that were void before: their end takes nothing.
    voids: Voids,
    enough: u64,
    lost: HashSet<ResourceId>,
}

impl Losses<'_> {
    /// What a record takes that is written anew, or no more.
    fn record(
        &mut self,
        key: &[u8],
        tag: u8,
        id: ResourceId,
        value: Option<&Bytes>,
    ) -> Result<(), DirectoryError> {
        let Some(resource_type) = self.settings.registry.by_tag(tag) else { return Ok(()) };
        let Some(before) = self.state.get(key)? else { return Ok(()) };
        if resource_type.is_account {
            if loses(key, &before, value)? {
                self.lost.insert(id);
            }
        } else if let (Some(after), Some(_), false) =
            (value, resource_type.members(), self.settings.catalogue.grants.is_empty())
        {
            let (before, after) =
                (group(resource_type, id, key, &before)?, group(resource_type, id, key, after)?);
            if loses_grant(&self.settings.catalogue, &before, &after) {
                self.below(id)?;
            }
        }
        Ok(())
    }

    /// A member that leaves its group.
    fn member(&mut self, value: &Bytes, member: ResourceId) -> Result<(), DirectoryError> {
        let tag = value.first().copied().unwrap_or_default();
        match self.settings.registry.by_tag(tag) {
            Some(resource_type) if resource_type.is_account => {
                self.lost.insert(member);
                Ok(())
            }
            _ => self.below(member),
        }
    }

    /// The members of a group whose memberships a new marker voids, and that are not added again.
    fn voided(&mut self, group: ResourceId, marker: &Marker) -> Result<(), DirectoryError> {
        let mut groups = Vec::new();
        let (last, lost) = (self.last, &mut self.lost);
        let mut note = |member, before: &Bytes| {
            let key = keys::member(group, member);
            let present = last.get(key.as_slice()).copied().flatten().unwrap_or(before);
            if !marker.voids(member, present) {
                return ControlFlow::Continue(());
            }
            if is_account(self.settings, before) {
                lost.insert(member);
            } else {
                groups.push(member);
            }
            match lost.len() as u64 > self.enough {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        if marker.extent == Extent::Only {
            for member in marker.listed() {
                let before = self.state.get(&keys::member(group, member))?;
                let before = before.filter(|value| !self.voids.contain(group, member, value));
                if before.is_some_and(|before| note(member, &before).is_break()) {
                    break;
                }
            }
        } else {
            visit_members(self.state, &self.voids, group, None, &mut |member, before| {
                note(member, &before)
            })?;
        }
        for group in groups {
            self.below(group)?;
        }
        Ok(())
    }

    /// Every account in a group, and in the groups in it.
    fn below(&mut self, group: ResourceId) -> Result<(), DirectoryError> {
        let (mut waiting, mut seen) = (vec![group], BTreeSet::from([group]));
        while let Some(group) = waiting.pop() {
            visit_members(self.state, &self.voids, group, None, &mut |member, value| {
                if is_account(self.settings, &value) {
                    self.lost.insert(member);
                } else if seen.insert(member) {
                    waiting.push(member);
                }
                if self.lost.len() as u64 > self.enough {
                    waiting.clear();
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }
}

/// Whether a member, as its membership is stored, is an account.
fn is_account(settings: &Settings, value: &Bytes) -> bool {
    let tag = value.first().copied().unwrap_or_default();
    settings.registry.by_tag(tag).is_some_and(|one| one.is_account)
}

fn group(
    resource_type: &ResourceType,
    id: ResourceId,
    key: &[u8],
    value: &Bytes,
) -> Result<GroupOfAccount, StoreError> {
    let stored = StoredResource::new(id, stored::decode(key, value)?);
    let attributes = stored::attributes(resource_type, &stored)?;
    Ok(effective::group_of_account(resource_type, &attributes))
}

/// Whether an account is less afterwards than it was.
fn loses(key: &[u8], before: &Bytes, after: Option<&Bytes>) -> Result<bool, StoreError> {
    let Some(after) = after else { return Ok(true) };
    let (before, after) = (access_of(key, before)?, access_of(key, after)?);
    let active = |account: &Map<String, Value>| account.get(ACTIVE) == Some(&Value::Bool(true));
    if active(&before) && !active(&after) {
        return Ok(true);
    }
    Ok([ROLES, ENTITLEMENTS].iter().any(|name| {
        let kept = texts(after.get(*name));
        texts(before.get(*name)).iter().any(|text| !kept.contains(text))
    }))
}

fn access_of(key: &[u8], value: &Bytes) -> Result<Map<String, Value>, StoreError> {
    let names = BTreeSet::from([ACTIVE, ENTITLEMENTS, ROLES]);
    let record = stored::decode(key, value)?;
    pick(&record.json, &names).map_err(|_| StoreError::damaged(key))
}

fn texts(attribute: Option<&Value>) -> BTreeSet<&str> {
    let elements = attribute.and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(|element| element.get("value")?.as_str()).collect()
}
