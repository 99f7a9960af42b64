//! Changing memberships.

use std::collections::HashSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use serde_json::Value;

use crate::connection::UnknownMembers;
use crate::directory::error::DirectoryError;
use crate::directory::membership::graph::{
    above_and_itself, groups_of, reject_cycle, stored_groups_of,
};
use crate::directory::membership::list::MemberList;
use crate::directory::membership::read::{display, find_any, visit_members};
use crate::directory::membership::void::{Extent, INLINE, Marker, Rename, Voids};
use crate::directory::rules::ConnectionRules;
use crate::directory::stored;
use crate::directory::transaction::Transaction;
use crate::scim::error::ScimError;
use crate::scim::filter::{CompareOp, Comparison, Filter, Literal};
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;
use crate::store::{Read, keys};
use crate::text::excerpt;

/// How many characters of a member's name are stored with the membership.
const MAX_DISPLAY: usize = 256;

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
    ScimError::invalid_value(format!(
        "There is no resource with the id \"{}\" that could be a member.",
        excerpt(value, 64)
    ))
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
    /// What is kept of the members, if a marker voids the others, and whether that is to be written.
    kept: Option<HashSet<ResourceId>>,
    marker_changed: bool,
    /// Whether the marker is a new one, which keeps nothing but that.
    is_new: bool,
}

impl GroupMembers {
    pub(crate) fn new(tx: &Transaction<'_>, group: ResourceId) -> Result<Self, DirectoryError> {
        let voids = Voids::load(tx)?;
        let kept = voids.get(group).map(|marker| marker.kept().collect());
        Ok(Self {
            group,
            list: None,
            above: None,
            voids,
            kept,
            marker_changed: false,
            is_new: false,
        })
    }

    /// Whether a resource is a member.
    fn contains(&self, tx: &Transaction<'_>, member: ResourceId) -> Result<bool, DirectoryError> {
        if let Some(list) = &self.list {
            return Ok(list.contains(member));
        }
        let stored = tx.get(&keys::membership(member, self.group))?.is_some();
        Ok(stored && !self.is_void(member))
    }

    fn is_void(&self, member: ResourceId) -> bool {
        let kept = self.kept.as_ref().is_some_and(|kept| kept.contains(&member));
        !kept && self.voids.contain(self.group, member)
    }

    fn list(&mut self, tx: &Transaction<'_>) -> Result<&mut MemberList, DirectoryError> {
        if self.list.is_none() {
            let registry = &tx.settings().registry;
            let mut list = MemberList::default();
            // What takes away never fails for size: reading the list is not charged.
            let all = Voids::default();
            visit_members(tx.unmetered(), &all, self.group, None, &mut |member, value| {
                if !self.is_void(member) {
                    list.push(registry, member, value);
                }
                ControlFlow::Continue(())
            })?;
            self.list = Some(list);
        }
        Ok(self.list.get_or_insert_default())
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
            let value = link(tx, self.group, member.id, &member_type, display);
            if let Some(list) = &mut self.list {
                list.push(registry, member.id, value);
            }
            if let Some(kept) = &mut self.kept {
                self.marker_changed |= kept.insert(member.id);
            }
            tx.details().member_added(member.id, display);
            changed = true;
        }
        Ok(changed)
    }

    /// Ends memberships; whether there was one of them.
    pub(crate) fn remove(
        &mut self,
        tx: &mut Transaction<'_>,
        members: impl IntoIterator<Item = ResourceId>,
    ) -> Result<bool, DirectoryError> {
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
        let display = match (tx.details().names_removed(), &self.list) {
            (false, _) => None,
            (true, Some(list)) => list.display(member).map(ToOwned::to_owned),
            (true, None) => tx.get(&keys::member(self.group, member))?.as_deref().map(display),
        };
        unlink(tx, self.group, member);
        if let Some(list) = &mut self.list {
            list.remove(member);
        }
        if let Some(kept) = &mut self.kept {
            self.marker_changed |= kept.remove(&member);
        }
        tx.details().member_removed(member, display);
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
        let list = self.list(tx)?;
        let members = list.matching(&attribute.name, filter, || budget.check_time())?;
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

    /// Ends memberships that are in the list. If they are very many, and most of all, a marker voids them.
    fn remove_known(
        &mut self,
        tx: &mut Transaction<'_>,
        members: &[ResourceId],
    ) -> Result<bool, DirectoryError> {
        let all = self.list(tx)?.len();
        if members.len() <= INLINE || members.len() * 2 < all {
            for member in members {
                self.remove_one(tx, *member)?;
            }
            return Ok(!members.is_empty());
        }
        let list = self.list.get_or_insert_default();
        for member in members {
            let display = match tx.details().names_removed() {
                true => list.display(*member).map(ToOwned::to_owned),
                false => None,
            };
            tx.details().member_removed(*member, display);
            list.remove(*member);
        }
        self.kept = Some(list.ids().collect());
        (self.marker_changed, self.is_new) = (true, true);
        Ok(true)
    }

    /// Writes what is not written yet.
    pub(crate) fn finish(self, tx: &mut Transaction<'_>) {
        if let Some(kept) = self.kept.filter(|_| self.marker_changed) {
            // A new marker has nothing cleared, whatever was under an earlier one.
            let earlier = self.voids.get(self.group).filter(|_| !self.is_new);
            let marker = match earlier {
                Some(earlier) => earlier.keeping(kept),
                None => Marker::new(Extent::Members, tx.actor(), kept),
            };
            tx.put(keys::void(self.group), marker.encode());
        }
    }
}

/// Stores a membership; its value.
pub(crate) fn link(
    tx: &mut Transaction<'_>,
    group: ResourceId,
    member: ResourceId,
    member_type: &ResourceType,
    display: &str,
) -> Bytes {
    let display: String = display.chars().take(MAX_DISPLAY).collect();
    let value = Bytes::from([&[member_type.tag], display.as_bytes()].concat());
    tx.put(keys::member(group, member), value.clone());
    tx.put(keys::membership(member, group), Bytes::new());
    value
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
fn named_by(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(id) })
            if path.sub_attribute.as_deref() == Some("value") =>
        {
            Some(id)
        }
        _ => None,
    }
}

/// Ends every membership of a resource that is deleted; the versions of its groups follow. If they are
/// very many, a marker voids them.
pub(crate) fn leave_all(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    let voids = Voids::load(tx)?;
    forget_rename(tx, id)?;
    // What takes away never fails for size: reading is not charged.
    let mut members = Vec::new();
    visit_members(tx.unmetered(), &voids, id, None, &mut |member, value| {
        members.push((member, value));
        ControlFlow::Continue(())
    })?;
    let mut groups = stored_groups_of(tx.unmetered(), id)?;
    groups.retain(|group| !voids.contain(*group, id));
    let by_marker = members.len() + groups.len() > INLINE || voids.get(id).is_some();
    for (member, value) in &members {
        let name = tx.details().names_removed().then(|| display(value));
        tx.details().member_removed(*member, name);
        if !by_marker {
            unlink(tx, id, *member);
        }
    }
    for group in groups {
        let name = if by_marker {
            // The versions follow when the memberships are cleared.
            match tx.details().names_left() {
                true => group_name(tx, group)?,
                false => None,
            }
        } else {
            unlink(tx, group, id);
            bump_version(tx, group)?
        };
        tx.details().left_group(group, name);
    }
    if by_marker {
        let marker = Marker::new(Extent::All, tx.actor(), []);
        tx.put(keys::void(id), marker.encode());
    }
    Ok(())
}

fn group_name(tx: &Transaction<'_>, group: ResourceId) -> Result<Option<String>, DirectoryError> {
    let registry = &tx.settings().registry;
    let found = find_any(tx, registry, group, |one| one.members().is_some())?;
    let Some((group_type, stored)) = found else { return Ok(None) };
    let attributes = stored::attributes(&group_type, &stored)?;
    Ok(attributes.display(&group_type).map(ToOwned::to_owned))
}

/// Deletes every membership of a resource, however many; answers the groups that it was a member of.
pub(crate) fn unlink_all(
    tx: &mut Transaction<'_>,
    id: ResourceId,
) -> Result<Vec<ResourceId>, DirectoryError> {
    let mut members = Vec::new();
    visit_members(tx, &Voids::default(), id, None, &mut |member, _| {
        members.push(member);
        ControlFlow::Continue(())
    })?;
    for member in members {
        unlink(tx, id, member);
    }
    let groups = stored_groups_of(tx, id)?;
    for group in &groups {
        unlink(tx, *group, id);
    }
    Ok(groups)
}

/// Shows a member under its new name in all its groups, whose versions follow. If they are very many, a
/// marker has it done later.
pub(crate) fn rename(
    tx: &mut Transaction<'_>,
    member_type: &ResourceType,
    id: ResourceId,
    previous: &Resource,
    present: &Resource,
) -> Result<(), DirectoryError> {
    let display = present.display(member_type);
    if previous.display(member_type) == display {
        return Ok(());
    }
    if groups_of(tx.unmetered(), id)?.len() > INLINE {
        let marker = Rename::new(tx.actor());
        tx.put(keys::renamed(id), marker.encode());
        return Ok(());
    }
    forget_rename(tx, id)?;
    for group in show_as(tx, member_type, id, display.unwrap_or_default())? {
        bump_version(tx, group)?;
    }
    Ok(())
}

/// Removes the marker of an earlier rename, if there is one.
fn forget_rename(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    let key = keys::renamed(id);
    if tx.get(&key)?.is_some() {
        tx.delete(key);
    }
    Ok(())
}

/// Shows a member under a name in all its groups, which are answered.
pub(crate) fn show_as(
    tx: &mut Transaction<'_>,
    member_type: &ResourceType,
    id: ResourceId,
    display: &str,
) -> Result<Vec<ResourceId>, DirectoryError> {
    let groups = groups_of(tx, id)?;
    for group in &groups {
        link(tx, *group, id, member_type, display);
    }
    Ok(groups)
}

/// Writes a group in its next version, if it is there: its members have changed. Answers its name.
pub(crate) fn bump_version(
    tx: &mut Transaction<'_>,
    group: ResourceId,
) -> Result<Option<String>, DirectoryError> {
    let registry = &tx.settings().registry;
    let found = find_any(tx, registry, group, |one| one.members().is_some())?;
    let Some((group_type, stored)) = found else { return Ok(None) };
    let attributes = stored::attributes(&group_type, &stored)?;
    stored::touch(tx, &group_type, &stored, &attributes)?;
    Ok(attributes.display(&group_type).map(ToOwned::to_owned))
}
