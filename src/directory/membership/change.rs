//! Changing memberships.

use std::collections::HashSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use serde_json::Value;

use crate::access::{GroupOfAccount, grants_of};
use crate::connection::UnknownMembers;
use crate::directory::error::DirectoryError;
use crate::directory::may_grant;
use crate::directory::membership::graph::{above_and_itself, ancestors, reject_cycle};
use crate::directory::membership::list::MemberList;
use crate::directory::membership::read::{find_any, name_of, visit_members};
use crate::directory::membership::value::{self, Stamp};
use crate::directory::membership::void::{Extent, IN_PLACE, Marker, Voids};
use crate::directory::rules::ConnectionRules;
use crate::directory::stored;
use crate::directory::transaction::Transaction;
use crate::scim::error::ScimError;
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::store::{Read, keys};
use crate::text::excerpt;

/// A member that a request names.
#[derive(Clone, Debug)]
pub(crate) struct NamedMember {
    id: ResourceId,
    /// The name that the client has for it.
    display: Option<String>,
}

/// The members that a list in canonical form names.
///
/// # Errors
///
/// `invalidValue` naming what can't be the id of a member, if unknown members are refused.
pub(crate) fn named(
    members: &[Value],
    unknown: UnknownMembers,
) -> Result<Vec<NamedMember>, ScimError> {
    let mut named = Vec::with_capacity(members.len());
    for element in members {
        let text = |name: &str| element.get(name).and_then(Value::as_str);
        let value = text("value").unwrap_or_default();
        match ResourceId::parse(value) {
            Some(id) => {
                named.push(NamedMember { id, display: text("display").map(ToOwned::to_owned) });
            }
            None if unknown == UnknownMembers::Refuse => return Err(no_member(value)),
            None => {}
        }
    }
    Ok(named)
}

fn no_member(value: &str) -> ScimError {
    ScimError::invalid_value(format!("Member \"{}\" does not exist.", excerpt(value, 64)))
}

/// The members of one group, as a command changes them: what several operations of a PATCH need is read
/// once. What it changes is complete after [`GroupMembers::finish`].
pub(crate) struct GroupMembers {
    group: ResourceId,
    /// All members, if an operation needed them.
    list: Option<MemberList>,
    /// The group and those above it. New members change nothing above it.
    above: Option<HashSet<ResourceId>>,
    voids: Voids,
    /// How many memberships may still be ended without a marker.
    in_place: usize,
    /// What is removed by a marker that is not written yet; then there is a list.
    removal: Option<Removal>,
    /// Whether the connection may give what members have by grants, as far as it was looked.
    may_be_given: bool,
}

/// Members that a marker is to void.
struct Removal {
    stamp: Stamp,
    members: Vec<ResourceId>,
}

impl GroupMembers {
    pub(crate) fn new(tx: &Transaction<'_>, group: ResourceId) -> Result<Self, DirectoryError> {
        let voids = Voids::load(tx)?;
        Ok(Self {
            group,
            list: None,
            above: None,
            voids,
            in_place: IN_PLACE,
            removal: None,
            may_be_given: false,
        })
    }

    /// Whether a resource is a member.
    fn contains(&self, tx: &Transaction<'_>, member: ResourceId) -> Result<bool, DirectoryError> {
        if let Some(list) = &self.list {
            return Ok(list.contains(member));
        }
        let stored = tx.get(&keys::membership(member, self.group))?.is_some();
        Ok(stored && !self.voids.contain_stored(tx, self.group, member)?)
    }

    fn list(&mut self, tx: &Transaction<'_>) -> Result<&mut MemberList, DirectoryError> {
        if self.list.is_none() {
            let registry = &tx.settings().registry;
            let mut list = MemberList::default();
            // What takes away never fails for size: reading the list is not charged.
            let state = tx.unmetered();
            visit_members(state, &self.voids, self.group, None, &mut |member, value| {
                list.push(registry, member, value);
                ControlFlow::Continue(())
            })?;
            self.list = Some(list);
        }
        Ok(self.list.get_or_insert_default())
    }

    /// What memberships have to carry from now on.
    fn stamp(&self) -> Option<Stamp> {
        let removal = self.removal.as_ref().map(|removal| removal.stamp);
        removal.or_else(|| self.voids.stamp(self.group))
    }

    /// Adds members; returns whether any of them is new.
    ///
    /// # Errors
    ///
    /// `invalidValue` if there is no such resource and unknown members are refused, or if the group would
    /// come to contain itself; `Forbidden` for what the connection may not change.
    pub(crate) fn add(
        &mut self,
        tx: &mut Transaction<'_>,
        members: &[NamedMember],
        rules: ConnectionRules,
    ) -> Result<bool, DirectoryError> {
        let mut changed = false;
        for member in members {
            if self.contains(tx, member.id)? {
                continue;
            }
            let registry = &tx.settings().registry;
            let Some((member_type, stored)) = find_any(tx, registry, member.id, |_| true)? else {
                if rules.unknown_members == UnknownMembers::Ignore {
                    continue;
                }
                return Err(no_member(&member.id.to_string()).into());
            };
            // Membership can give access: a connection that may not change an account may not give it any.
            rules.check_scope(tx, &member_type, &stored)?;
            self.check_may_grant(tx)?;
            if member_type.members().is_some() {
                let above = match &mut self.above {
                    Some(above) => above,
                    none => none.insert(above_and_itself(tx, self.group)?),
                };
                reject_cycle(above, member.id)?;
            }
            let attributes = stored::attributes(&member_type, &stored)?;
            let display = member.display.as_deref().or_else(|| attributes.display(&member_type));
            let display = display.unwrap_or_default();
            let value = link(tx, self.group, member.id, &member_type, display, self.stamp());
            if let Some(list) = &mut self.list {
                list.push(registry, member.id, value);
            }
            tx.details().member_added(member.id, attributes.name(&member_type));
            changed = true;
        }
        Ok(changed)
    }

    /// Checks, once, that the connection may give what members of the group have by grants to it and to the
    /// groups above it.
    fn check_may_grant(&mut self, tx: &Transaction<'_>) -> Result<(), DirectoryError> {
        let settings = tx.settings();
        if self.may_be_given || tx.may_grant().is_none() || settings.catalogue.grants.is_empty() {
            return Ok(());
        }
        let above = ancestors(tx, &self.voids, self.group)?.into_iter().map(|(id, _)| id);
        for id in above.chain([self.group]) {
            let group = find_any(tx, &settings.registry, id, |one| one.members().is_some())?;
            let Some((group_type, group)) = group else { continue };
            let attributes = stored::attributes(&group_type, &group)?;
            let group = GroupOfAccount::new(&group_type, &attributes, group.record.manager());
            may_grant::check_grants(tx, grants_of(&settings.catalogue, &group))?;
        }
        self.may_be_given = true;
        Ok(())
    }

    /// Ends memberships; whether there was one of them.
    pub(crate) fn remove(
        &mut self,
        tx: &mut Transaction<'_>,
        members: impl IntoIterator<Item = ResourceId>,
    ) -> Result<bool, DirectoryError> {
        let mut members: Vec<_> = members.into_iter().collect();
        if members.len() > self.in_place {
            let list = self.list(tx)?;
            members.sort_unstable();
            members.dedup();
            members.retain(|member| list.contains(*member));
            return self.remove_known(tx, &members);
        }
        let mut changed = false;
        for member in members {
            if self.contains(tx, member)? {
                self.remove_one(tx, member)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    fn remove_one(
        &mut self,
        tx: &mut Transaction<'_>,
        member: ResourceId,
    ) -> Result<(), DirectoryError> {
        note_removed(tx, member)?;
        unlink(tx, self.group, member);
        self.in_place = self.in_place.saturating_sub(1);
        if let Some(list) = &mut self.list {
            list.remove(member);
        }
        Ok(())
    }

    /// Ends every membership that a filter on the elements selects; whether there was any.
    pub(crate) fn remove_matching(
        &mut self,
        tx: &mut Transaction<'_>,
        group_type: &ResourceType,
        filter: &Filter,
    ) -> Result<bool, DirectoryError> {
        if let Some(named) = named_by(filter) {
            // The usual case costs nothing that depends on the size of the group.
            return self.remove(tx, ResourceId::parse(named));
        }
        let Some(attribute) = group_type.members() else { return Ok(false) };
        let budget = tx.budget();
        let is_timed = budget.begin_search();
        let list = self.list(tx)?;
        let members = list.matching(&attribute.name, filter, || match is_timed {
            true => budget.check_time(),
            false => Ok(()),
        })?;
        self.remove_known(tx, &members)
    }

    /// Ends every membership of the group; whether there was any.
    pub(crate) fn remove_all(&mut self, tx: &mut Transaction<'_>) -> Result<bool, DirectoryError> {
        let members: Vec<_> = self.list(tx)?.ids().collect();
        self.remove_known(tx, &members)
    }

    /// Makes these, and no others, the members; whether that changes anything.
    pub(crate) fn set(
        &mut self,
        tx: &mut Transaction<'_>,
        members: &[NamedMember],
        rules: ConnectionRules,
    ) -> Result<bool, DirectoryError> {
        let keep: HashSet<ResourceId> = ids(members).collect();
        let gone: Vec<_> = self.list(tx)?.ids().filter(|member| !keep.contains(member)).collect();
        let removed = self.remove_known(tx, &gone)?;
        Ok(self.add(tx, members, rules)? || removed)
    }

    /// Ends memberships that are in the list. If they are very many, a marker voids them.
    fn remove_known(
        &mut self,
        tx: &mut Transaction<'_>,
        members: &[ResourceId],
    ) -> Result<bool, DirectoryError> {
        if members.len() <= self.in_place {
            for member in members {
                self.remove_one(tx, *member)?;
            }
            return Ok(!members.is_empty());
        }
        let list = self.list(tx)?;
        for member in members {
            note_removed(tx, *member)?;
            list.remove(*member);
        }
        // Members that were added before may be among these: they carry the stamp of before.
        let stamp = Stamp::unique(tx.now());
        let removal = self.removal.get_or_insert(Removal { stamp, members: Vec::new() });
        removal.stamp = stamp;
        removal.members.extend(members);
        Ok(true)
    }

    /// Writes what is not written yet.
    pub(crate) fn finish(self, tx: &mut Transaction<'_>) {
        let (Some(Removal { stamp, mut members }), Some(list)) = (self.removal, self.list) else {
            return;
        };
        // What an earlier marker voids may be there still: the new one takes its place.
        let earlier = self.voids.get(self.group);
        let lists_void = earlier.is_none_or(|marker| marker.extent == Extent::Only);
        members.extend(earlier.into_iter().filter(|_| lists_void).flat_map(Marker::listed));
        members.retain(|member| !list.contains(*member));
        let marker = match lists_void && members.len() <= list.len() {
            true => Marker::new(Extent::Only, stamp, tx.actor(), members),
            false => Marker::new(Extent::AllBut, stamp, tx.actor(), list.ids()),
        };
        marker.put(tx, self.group);
    }
}

/// Stores a membership, with the stamp of its group's marker if there is one; its value.
pub(crate) fn link(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    member: ResourceId,
    member_type: &ResourceType,
    display: &str,
    stamp: Option<Stamp>,
) -> Bytes {
    let value = value::encode(member_type.tag, display, stamp);
    tx.put(keys::member(group, member), value.clone());
    tx.put(keys::membership(member, group), Bytes::new());
    value
}

/// Describes a removed member, by the name that the directory has for it, whatever the client called it.
pub(super) fn note_removed(
    tx: &mut Transaction<'_>,
    member: ResourceId,
) -> Result<(), DirectoryError> {
    let name = match tx.details().names_removed() {
        // What takes away never fails for size: reading the name is not charged.
        true => name_of(tx.unmetered(), &tx.settings().registry, member)?,
        false => None,
    };
    tx.details().member_removed(member, name);
    Ok(())
}

/// Deletes a membership.
pub(super) fn unlink(tx: &mut Transaction<'_>, group: ResourceId, member: ResourceId) {
    tx.delete(keys::member(group, member));
    tx.delete(keys::membership(member, group));
}

/// The ids of members that a request names.
pub(crate) fn ids(members: &[NamedMember]) -> impl Iterator<Item = ResourceId> {
    members.iter().map(|member| member.id)
}

/// The one member that a filter `value eq "…"` names.
pub(crate) fn named_by(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(id) })
            if path.sub_attribute.as_deref() == Some("value") =>
        {
            Some(id)
        }
        _ => None,
    }
}
