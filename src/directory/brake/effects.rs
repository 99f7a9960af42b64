//! What a change takes from accounts, and what it gives them.
//!
//! An account loses something if it is deleted, if it is deactivated, if it names fewer roles or
//! entitlements, if it has another name (or lacks another unique value that it had), or if it leaves a
//! group, be it itself or through a group that it is in. A group that is known by another name, so that a
//! grant is no longer for it, takes that from all who are in it.
//!
//! An account gains something if it is reactivated, or if it comes to have permissions in the company: its
//! own, or those that a grant gives the members of a group.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Map, Value};

use crate::access::{Entitlement, GroupOfAccount, gains_company_permissions, loses_grant};
use crate::directory::error::DirectoryError;
use crate::directory::membership::{Extent, Marker, Voids, ancestors, visit_members};
use crate::directory::settings::Settings;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::PendingChange;
use crate::scim::pick::{pick, pick_differing};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::{ACTIVE, ENTITLEMENTS, ROLES};
use crate::store::keys::{self, Kind};
use crate::store::overlay::Overlay;
use crate::store::{Read, StoreError};

/// What changes do to accounts.
#[derive(Default)]
pub(super) struct Effects {
    /// The accounts that lose something; of more than enough not all.
    pub(super) lost: HashSet<ResourceId>,
    /// The accounts that gain something; of more than enough not all.
    pub(super) gained: HashSet<ResourceId>,
    /// How many accounts are new.
    pub(super) created: u64,
}

/// How many accounts are enough to know that a limit is exceeded: one more than these.
#[derive(Clone, Copy)]
pub(super) struct Enough {
    pub(super) lost: u64,
    pub(super) gained: u64,
}

/// What changes to a state do to accounts.
///
/// # Errors
///
/// `Storage`.
pub(super) fn of(
    state: &dyn Read,
    settings: &Settings,
    changes: &[PendingChange],
    enough: Enough,
) -> Result<Effects, DirectoryError> {
    let writes = changes.iter().flat_map(|change| &change.writes);
    let last: BTreeMap<&[u8], Option<&Bytes>> =
        writes.map(|write| (write.key.as_slice(), write.value.as_ref())).collect();
    let grants = &settings.catalogue.grants;
    let mut survey = Survey {
        state,
        settings,
        changes,
        last: &last,
        voids: Voids::load(state)?,
        enough,
        gives_by_group: grants.iter().any(|grant| !grant.company_permissions.is_empty()),
        after: OnceCell::new(),
        giving: HashMap::new(),
        effects: Effects::default(),
    };
    for (&key, &value) in &last {
        match keys::kind(key) {
            Some(Kind::Record(tag, id)) => survey.record(key, tag, id, value)?,
            Some(Kind::Unique(tag)) => survey.unique(key, tag, value)?,
            Some(Kind::Member(group, member)) => survey.member(key, group, member, value)?,
            Some(Kind::Void(id)) => {
                if let Some(value) = value {
                    survey.voided(id, &Marker::decode(key, value)?)?;
                }
            }
            _ => {}
        }
    }
    Ok(survey.effects)
}

struct Survey<'a> {
    state: &'a dyn Read,
    settings: &'a Settings,
    changes: &'a [PendingChange],
    /// What the changes set and remove, in the end.
    last: &'a BTreeMap<&'a [u8], Option<&'a Bytes>>,
    /// Memberships that were void before: their end takes nothing.
    voids: Voids,
    enough: Enough,
    /// Whether any grant gives permissions in the company.
    gives_by_group: bool,
    /// The state once the changes are made, if it was needed.
    after: OnceCell<(Overlay<'a>, Voids)>,
    /// Whether members of a group have permissions in the company once the changes are made.
    giving: HashMap<ResourceId, bool>,
    effects: Effects,
}

impl<'a> Survey<'a> {
    /// What a record does that is new, written anew, or no more.
    fn record(
        &mut self,
        key: &[u8],
        tag: u8,
        id: ResourceId,
        value: Option<&Bytes>,
    ) -> Result<(), DirectoryError> {
        let Some(resource_type) = self.settings.registry.by_tag(tag) else { return Ok(()) };
        let before = self.state.get(key)?;
        if resource_type.is_account {
            self.account(key, id, before.as_ref(), value)?;
        } else if let (Some(before), Some(after), Some(_), false) =
            (before, value, resource_type.members(), self.settings.catalogue.grants.is_empty())
        {
            let (before, after) =
                (group(resource_type, id, key, &before)?, group(resource_type, id, key, after)?);
            if loses_grant(&self.settings.catalogue, &before, &after) {
                self.lost_below(id)?;
            }
            if gains_company_permissions(&self.settings.catalogue, Some(&before), &after) {
                self.gained_below(id)?;
            }
        }
        Ok(())
    }

    fn account(
        &mut self,
        key: &[u8],
        id: ResourceId,
        before: Option<&Bytes>,
        after: Option<&Bytes>,
    ) -> Result<(), StoreError> {
        match (before, after) {
            (None, None) => {}
            (Some(_), None) => {
                self.effects.lost.insert(id);
            }
            (None, Some(after)) => {
                self.effects.created += 1;
                // Few new accounts have such permissions, and looking for the text is cheaper than reading.
                if memmem::find(after, Entitlement::FOR_COMPANY.as_bytes()).is_some()
                    && !company_permissions(&entitlements(key, after)?).is_empty()
                {
                    self.effects.gained.insert(id);
                }
            }
            (Some(before), Some(after)) => {
                let (before, after) = (stored::decode(key, before)?, stored::decode(key, after)?);
                // What both have alike is neither lost nor gained.
                let [before, after] = pick_differing(&before.json, &after.json)
                    .map_err(|_| StoreError::damaged(key))?;
                if loses(&before, &after) {
                    self.effects.lost.insert(id);
                }
                if gains(&before, &after) {
                    self.effects.gained.insert(id);
                }
            }
        }
        Ok(())
    }

    /// A unique value that an account no longer has: who signs in by it is locked out.
    fn unique(&mut self, key: &[u8], tag: u8, value: Option<&Bytes>) -> Result<(), StoreError> {
        if self.settings.registry.by_tag(tag).is_none_or(|resource_type| !resource_type.is_account)
        {
            return Ok(());
        }
        let before = self.state.get(key)?;
        if let Some(id) =
            before.filter(|before| value != Some(before)).as_deref().and_then(keys::trailing_id)
        {
            self.effects.lost.insert(id);
        }
        Ok(())
    }

    /// A member that joins a group or leaves it.
    fn member(
        &mut self,
        key: &[u8],
        group: ResourceId,
        member: ResourceId,
        value: Option<&Bytes>,
    ) -> Result<(), DirectoryError> {
        match value {
            None => match self.state.get(key)? {
                Some(before) if is_account(self.settings, &before) => {
                    self.effects.lost.insert(member);
                }
                Some(_) => self.lost_below(member)?,
                None => {}
            },
            Some(value) if self.gives_by_group => {
                let before = self.state.get(key)?;
                if before.is_some_and(|before| !self.voids.contain(group, member, &before))
                    || !self.gives(group)?
                {
                    return Ok(());
                }
                if is_account(self.settings, value) {
                    self.effects.gained.insert(member);
                } else {
                    self.gained_below(member)?;
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether a group, or one above it, gives its members permissions in the company once the changes are
    /// made.
    fn gives(&mut self, group: ResourceId) -> Result<bool, DirectoryError> {
        if let Some(known) = self.giving.get(&group) {
            return Ok(*known);
        }
        let (after, voids) = self.after()?;
        let above = ancestors(after, voids, group)?.into_iter().map(|(id, _)| id);
        let mut gives = false;
        for id in above.chain([group]) {
            gives = gives || self.is_granted(after, id)?;
        }
        self.giving.insert(group, gives);
        Ok(gives)
    }

    fn is_granted(&self, after: &dyn Read, id: ResourceId) -> Result<bool, DirectoryError> {
        let groups = self.settings.registry.resource_types().iter();
        for resource_type in groups.filter(|resource_type| resource_type.members().is_some()) {
            let key = keys::record(resource_type.tag, id);
            if let Some(value) = after.get(&key)? {
                let group = group(resource_type, id, &key, &value)?;
                return Ok(gains_company_permissions(&self.settings.catalogue, None, &group));
            }
        }
        Ok(false)
    }

    fn after(&self) -> Result<&(Overlay<'a>, Voids), StoreError> {
        if let Some(after) = self.after.get() {
            return Ok(after);
        }
        let mut after = Overlay::new(self.state);
        for change in self.changes {
            after.absorb(&change.writes);
        }
        let voids = Voids::load(&after)?;
        Ok(self.after.get_or_init(|| (after, voids)))
    }

    /// The members of a group whose memberships a new marker voids, and that are not added again.
    fn voided(&mut self, group: ResourceId, marker: &Marker) -> Result<(), DirectoryError> {
        let mut groups = Vec::new();
        let (last, lost) = (self.last, &mut self.effects.lost);
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
            match lost.len() as u64 > self.enough.lost {
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
            self.lost_below(group)?;
        }
        Ok(())
    }

    /// Every account in a group, and in the groups in it, loses something.
    fn lost_below(&mut self, group: ResourceId) -> Result<(), StoreError> {
        let lost = &mut self.effects.lost;
        below(self.state, self.settings, &self.voids, group, self.enough.lost, lost)
    }

    /// Every account in a group, and in the groups in it, gains something.
    fn gained_below(&mut self, group: ResourceId) -> Result<(), StoreError> {
        let mut gained = std::mem::take(&mut self.effects.gained);
        let (after, voids) = self.after()?;
        below(after, self.settings, voids, group, self.enough.gained, &mut gained)?;
        self.effects.gained = gained;
        Ok(())
    }
}

/// Adds every account in a group, and in the groups in it, until they are more than enough.
fn below(
    state: &dyn Read,
    settings: &Settings,
    voids: &Voids,
    group: ResourceId,
    enough: u64,
    accounts: &mut HashSet<ResourceId>,
) -> Result<(), StoreError> {
    let (mut waiting, mut seen) = (vec![group], BTreeSet::from([group]));
    while let Some(group) = waiting.pop() {
        visit_members(state, voids, group, None, &mut |member, value| {
            if is_account(settings, &value) {
                accounts.insert(member);
            } else if seen.insert(member) {
                waiting.push(member);
            }
            if accounts.len() as u64 > enough {
                waiting.clear();
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
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
    Ok(GroupOfAccount::new(resource_type, &attributes, stored.record.manager()))
}

/// Whether an account is less afterwards than it was.
fn loses(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let less = |name: &&str| !texts(before.get(*name)).is_subset(&texts(after.get(*name)));
    is_active(before) && !is_active(after) || [ROLES, ENTITLEMENTS].iter().any(less)
}

/// Whether an account is active again, or has permissions in the company that it had not.
fn gains(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    !is_active(before) && is_active(after)
        || !company_permissions(after).is_subset(&company_permissions(before))
}

fn is_active(account: &Map<String, Value>) -> bool {
    account.get(ACTIVE) == Some(&Value::Bool(true))
}

fn company_permissions(account: &Map<String, Value>) -> BTreeSet<&str> {
    let mut texts = texts(account.get(ENTITLEMENTS));
    texts.retain(|text| Entitlement::is_for_company(text));
    texts
}

fn entitlements(key: &[u8], value: &Bytes) -> Result<Map<String, Value>, StoreError> {
    let record = stored::decode(key, value)?;
    pick(&record.json, &BTreeSet::from([ENTITLEMENTS])).map_err(|_| StoreError::damaged(key))
}

fn texts(attribute: Option<&Value>) -> BTreeSet<&str> {
    let elements = attribute.and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(|element| element.get("value")?.as_str()).collect()
}
