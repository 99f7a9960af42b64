//! Accounts whose effective access a frame has changed.
//!
//! They are found by what the frame has written: accounts, memberships, and groups for which there are grants. Only
//! other settings make all accounts be looked at.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::emit::{Emitter, put_texts};
use super::members::{Member, MemberChanges};
use super::resources::{WrittenRecords, shown};
use super::{Change, Side};
use crate::access::{Direct, Effective, GroupOfAccount, grants_of};
use crate::directory::DirectoryError;
use crate::directory::membership::{ancestors, find_any, visit_members};
use crate::directory::stored::{self, StoredResource};
use crate::feed::event::EventType;
use crate::scim::pick::pick;
use crate::scim::resource::ResourceId;
use crate::scim::schemas::user::{ACTIVE, ENTITLEMENTS, ROLES};
use crate::store::record::Record;
use crate::store::{StoreError, keys};

/// Access as it is worked out on one side of a frame. Groups are read once.
struct AccessSide<'a> {
    side: &'a Side<'a>,
    groups: RefCell<HashMap<ResourceId, Option<GroupOfAccount>>>,
}

impl Change<'_> {
    /// Emits an event for each account whose effective access differs.
    pub(super) fn access(
        &self,
        records: &WrittenRecords,
        members: &BTreeMap<ResourceId, MemberChanges>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), DirectoryError> {
        let before = AccessSide { side: &self.before, groups: RefCell::default() };
        let after = AccessSide { side: &self.after, groups: RefCell::default() };
        if !std::ptr::eq(self.before.settings, self.after.settings) {
            return self.access_of_all(&before, &after, records, emitter);
        }
        let mut accounts = records.accounts.clone();
        if !self.after.settings.catalogue.grants.is_empty() {
            for side in [&before, &after] {
                for (group, changes) in members {
                    if before.grants_above(*group)? || after.grants_above(*group)? {
                        changes.all().try_for_each(|one| side.accounts_in(one, &mut accounts))?;
                    }
                }
                for group in records.groups.keys() {
                    let (was, is) = (before.group(*group)?, after.group(*group)?);
                    if was != is
                        && (before.is_granted(was.as_ref()) || after.is_granted(is.as_ref()))
                    {
                        side.accounts_below(*group, &mut accounts)?;
                    }
                }
            }
        }
        accounts.into_iter().try_for_each(|account| compare(&before, &after, account, emitter))
    }

    /// The same under other settings: for all accounts, as they are found.
    fn access_of_all(
        &self,
        before: &AccessSide<'_>,
        after: &AccessSide<'_>,
        records: &WrittenRecords,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), DirectoryError> {
        let registry = &self.after.settings.registry;
        for resource_type in registry.resource_types().iter().filter(|one| one.is_account) {
            let tag = resource_type.tag;
            let mut outcome = Ok(());
            self.before.state.scan(&keys::records(tag), None, &mut |key, _| {
                if let Some(id) = keys::trailing_id(key) {
                    outcome = compare(before, after, (tag, id), emitter);
                }
                if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            outcome?;
            // Those that are new are not in the state before.
            for (_, id) in records.accounts.iter().filter(|(one, _)| *one == tag) {
                if before.record(tag, *id)?.is_none() {
                    compare(before, after, (tag, *id), emitter)?;
                }
            }
        }
        Ok(())
    }
}

/// Emits an event for an account if its effective access differs.
fn compare(
    before: &AccessSide<'_>,
    after: &AccessSide<'_>,
    (tag, id): Member,
    emitter: &mut Emitter<'_>,
) -> Result<(), DirectoryError> {
    let Some(resource_type) = after.side.settings.registry.by_tag(tag) else { return Ok(()) };
    let record = after.record(tag, id)?;
    let was = before.access(tag, id, before.record(tag, id)?.as_ref())?;
    let is = after.access(tag, id, record.as_ref())?;
    if was.pieces.keys().eq(is.pieces.keys()) {
        return Ok(());
    }
    let resource = shown(resource_type, id, record.as_ref(), &emitter.base_url)?;
    emitter.emit(EventType::AccessChanged, resource_type, id, &[], |json| {
        json.extend_from_slice(&resource);
        json.extend_from_slice(b",\"access\":{\"before\":");
        put_texts(json, was.pieces.keys());
        json.extend_from_slice(b",\"after\":");
        put_texts(json, is.pieces.keys());
        json.push(b'}');
    })
}

impl AccessSide<'_> {
    fn record(&self, tag: u8, id: ResourceId) -> Result<Option<Record>, StoreError> {
        let key = keys::record(tag, id);
        let value = self.side.state.get(&key)?;
        value.map(|value| stored::decode(&key, &value)).transpose()
    }

    /// The effective access of an account; none for one that is inactive or not there.
    fn access(
        &self,
        tag: u8,
        id: ResourceId,
        record: Option<&Record>,
    ) -> Result<Effective, DirectoryError> {
        let Some(record) = record else { return Ok(Effective::default()) };
        let names = BTreeSet::from([ACTIVE, ENTITLEMENTS, ROLES]);
        let attributes =
            pick(&record.json, &names).map_err(|_| StoreError::damaged(&keys::record(tag, id)))?;
        if attributes.get(ACTIVE) != Some(&true.into()) {
            return Ok(Effective::default());
        }
        let catalogue = &self.side.settings.catalogue;
        let direct = Direct::of(catalogue, attributes.get(ROLES), attributes.get(ENTITLEMENTS));
        let mut groups = Vec::new();
        if !catalogue.grants.is_empty() {
            for (group, _) in ancestors(self.side.state, &self.side.voids, id)? {
                groups.extend(self.group(group)?);
            }
        }
        Ok(Effective::new(catalogue, &direct, &groups))
    }

    /// What grants need to know of a group; `None` if it is not there.
    fn group(&self, id: ResourceId) -> Result<Option<GroupOfAccount>, DirectoryError> {
        if let Some(known) = self.groups.borrow().get(&id) {
            return Ok(known.clone());
        }
        let Side { state, settings, .. } = self.side;
        let found = find_any(*state, &settings.registry, id, |one| one.members().is_some())?;
        let group = match found {
            Some((group_type, group)) => {
                let group: StoredResource = group;
                let attributes = stored::attributes(&group_type, &group)?;
                Some(GroupOfAccount::new(&group_type, &attributes, group.record.manager()))
            }
            None => None,
        };
        self.groups.borrow_mut().insert(id, group.clone());
        Ok(group)
    }

    fn is_granted(&self, group: Option<&GroupOfAccount>) -> bool {
        let catalogue = &self.side.settings.catalogue;
        group.is_some_and(|group| grants_of(catalogue, group).next().is_some())
    }

    /// Whether there are grants for a group, or for one above it.
    fn grants_above(&self, group: ResourceId) -> Result<bool, DirectoryError> {
        let above = ancestors(self.side.state, &self.side.voids, group)?;
        for id in above.into_iter().map(|(id, _)| id).chain([group]) {
            if self.is_granted(self.group(id)?.as_ref()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_account(&self, tag: u8) -> bool {
        self.side.settings.registry.by_tag(tag).is_some_and(|one| one.is_account)
    }

    /// Adds a member that is an account, or the accounts in a member that is a group.
    fn accounts_in(
        &self,
        member: Member,
        accounts: &mut BTreeSet<Member>,
    ) -> Result<(), StoreError> {
        match self.is_account(member.0) {
            true => {
                accounts.insert(member);
                Ok(())
            }
            false => self.accounts_below(member.1, accounts),
        }
    }

    /// Adds the accounts in a group, and in the groups in it.
    fn accounts_below(
        &self,
        group: ResourceId,
        accounts: &mut BTreeSet<Member>,
    ) -> Result<(), StoreError> {
        let Side { state, voids, .. } = self.side;
        let (mut waiting, mut seen) = (vec![group], BTreeSet::from([group]));
        while let Some(group) = waiting.pop() {
            visit_members(*state, voids, group, None, &mut |member, value| {
                let tag = value.first().copied().unwrap_or_default();
                if self.is_account(tag) {
                    accounts.insert((tag, member));
                } else if seen.insert(member) {
                    waiting.push(member);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }
}
