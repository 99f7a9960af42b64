//! The command that carries out the plan of an undo.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::plan::{Plan, Planned, PlannedMembership};
use crate::directory::audit::details::ChangeDetails;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, Voids};
use crate::directory::stored;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::schema::ResourceType;
use crate::store::{Read, StoreError, keys};

/// The most obstacles that an error names.
const MAX_NAMED: usize = 10;

/// Carries out a plan, all or nothing.
pub(super) struct Apply {
    pub(super) plan: Arc<Plan>,
    /// The subject of its event.
    pub(super) subject: String,
    /// The most bytes that it may change.
    pub(super) most: usize,
    /// Whether it is only tried.
    pub(super) dry_run: bool,
    /// Whether what was created since is kept, and may hold names that come back.
    pub(super) keeps_created: bool,
}

/// The outcome of a plan.
pub(super) enum Outcome {
    /// It was carried out, or could be. `without_end` memberships lack a group or member and don't come back.
    Fits { without_end: u64 },
    /// A value that it relies on has changed; nothing was done.
    Overtaken,
    /// It would change this many bytes, which is too many; nothing was done.
    TooLarge(usize),
}

impl Command for Apply {
    type Output = Outcome;

    /// # Errors
    ///
    /// `Unfit` naming the holders of values that must be unique, or a group that would contain itself;
    /// `Storage`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Outcome, DirectoryError> {
        let plan = &self.plan;
        // What clearing has yet to do would be done to what comes back.
        if membership::is_pending(tx)? || !still_fits(tx, plan)? {
            return Ok(Outcome::Overtaken);
        }
        // Groups whose members change get a new version.
        let mut touched = BTreeSet::new();
        // Removals come first, so that names can pass from one resource to another.
        for planned in &plan.records {
            take_out(tx, planned, &mut touched)?;
        }
        let mut taken = Vec::new();
        for planned in &plan.records {
            put_back(tx, plan, planned, &mut touched, &mut taken)?;
        }
        if !taken.is_empty() {
            return Err(in_the_way(&taken, self.keeps_created));
        }
        let without_end = restore_memberships(tx, &plan.memberships, &mut touched)?;
        for planned in &plan.records {
            touched.remove(&planned.id);
        }
        for group in touched {
            membership::bump_version(tx, group)?;
        }
        reject_cycles(tx, &plan.memberships)?;
        let bytes = tx.bytes();
        if bytes > self.most {
            return Ok(Outcome::TooLarge(bytes));
        }
        if !self.dry_run {
            // The audit trail does not list that many resources.
            *tx.details() = ChangeDetails::default();
            let (kind, subject) = ("directory".to_owned(), self.subject.clone());
            tx.record(Event { kind, verb: Verb::Undone, subject });
        }
        Ok(Outcome::Fits { without_end })
    }
}

/// Whether everything that the plan relies on is as it was when the plan was made.
fn still_fits(state: &dyn Read, plan: &Plan) -> Result<bool, StoreError> {
    for Planned { resource_type, id, is, is_deactivated, .. } in &plan.records {
        let deactivated = || state.get(&keys::deactivated(*id));
        if state.get(&keys::record(resource_type.tag, *id))? != *is
            || (resource_type.is_account && deactivated()?.is_some() != *is_deactivated)
        {
            return Ok(false);
        }
    }
    for PlannedMembership { group, member, is, .. } in &plan.memberships {
        if state.get(&keys::member(*group, *member))? != *is {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a resource as it is; with its memberships, if it does not come back.
fn take_out(
    tx: &mut Transaction<'_>,
    planned: &Planned,
    touched: &mut BTreeSet<ResourceId>,
) -> Result<(), DirectoryError> {
    let Planned { resource_type, id, .. } = planned;
    let Some(is) = &planned.is else { return Ok(()) };
    let (_, attributes) = planned.read(is)?;
    stored::remove(tx, resource_type, *id, &attributes)?;
    if planned.was.is_none() {
        stored::count(tx, resource_type, |count| count.saturating_sub(1))?;
        touched.extend(membership::unlink_all(tx, *id)?);
    }
    Ok(())
}

/// Writes a resource as it was, in a version that it never had; notes who stands in the way.
fn put_back(
    tx: &mut Transaction<'_>,
    plan: &Plan,
    planned: &Planned,
    touched: &mut BTreeSet<ResourceId>,
    taken: &mut Vec<String>,
) -> Result<(), DirectoryError> {
    let Planned { resource_type, id, is, .. } = planned;
    let Some(was) = &planned.was else { return Ok(()) };
    let (stored, target, _) = planned.target(was, &plan.names)?;
    let in_the_way = holders(tx, resource_type, &target)?;
    if !in_the_way.is_empty() {
        taken.extend(in_the_way);
        return Ok(());
    }
    let meta = stored::meta(resource_type, &stored)?;
    let version = Version(planned.version).next();
    let last_modified = stored::not_before(tx.now(), meta.last_modified);
    let meta = Meta { last_modified, version, ..meta };
    let manager = stored.record.manager();
    stored::put_back(tx, resource_type, *id, &meta, &target, manager)?;
    match is {
        None => {
            stored::count(tx, resource_type, |count| count.saturating_add(1))?;
        }
        Some(is) => {
            let (_, present) = planned.read(is)?;
            let display = target.display(resource_type);
            if present.display(resource_type) != display {
                let shown = display.unwrap_or_default();
                touched.extend(membership::show_as(tx, resource_type, *id, shown)?);
            }
        }
    }
    Ok(())
}

/// The holders of the unique values of a resource, as clauses.
fn holders(
    tx: &Transaction<'_>,
    resource_type: &ResourceType,
    target: &Resource,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for indexed in resource_type.indexed().filter(|indexed| indexed.leaf().is_unique()) {
        for value in target.indexed_values(&indexed) {
            let holder = match tx.get(&keys::unique(resource_type.tag, &indexed, value))? {
                None => match stored::index::look_alike(resource_type, &indexed, value) {
                    Some(key) => tx.get(&key)?,
                    None => None,
                },
                holder => holder,
            };
            if let Some(holder) = holder.as_deref().and_then(keys::trailing_id) {
                let (kind, name) = (resource_type.name.to_lowercase(), &indexed.leaf().name);
                found.push(format!(
                    "{name} \"{}\" (now of the {kind} {holder})",
                    value.escape_debug()
                ));
            }
        }
    }
    Ok(found)
}

fn in_the_way(taken: &[String], keeps_created: bool) -> DirectoryError {
    let named = taken.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match taken.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let how = match keeps_created {
        true => ", or add --delete-created if they were created since",
        false => "",
    };
    DirectoryError::Unfit(format!(
        "nothing was undone: other resources now use unique values: {named}{more}; change or delete those first, \
         then undo again{how}"
    ))
}

/// Brings memberships back and ends them; answers how many lack an end.
fn restore_memberships(
    tx: &mut Transaction<'_>,
    memberships: &[PlannedMembership],
    touched: &mut BTreeSet<ResourceId>,
) -> Result<u64, DirectoryError> {
    let mut without_end = 0;
    for PlannedMembership { group, member, was, .. } in memberships {
        let (forward, back) = (keys::member(*group, *member), keys::membership(*member, *group));
        match was {
            Some(value) => match end(tx, *group, *member, value)? {
                Some((member_type, shown)) => {
                    membership::link(tx, *group, *member, &member_type, &shown, None);
                    touched.insert(*group);
                }
                None => without_end += 1,
            },
            None => {
                tx.delete(forward);
                tx.delete(back);
                touched.insert(*group);
            }
        }
    }
    Ok(without_end)
}

/// The member of a membership, if both ends are there: its type, and the name that it has by now.
fn end(
    tx: &Transaction<'_>,
    group: ResourceId,
    member: ResourceId,
    value: &Bytes,
) -> Result<Option<(Arc<ResourceType>, String)>, DirectoryError> {
    let tag = value.first().copied().unwrap_or_default();
    let registry = &tx.settings().registry;
    if membership::find_any(tx, registry, group, |one| one.members().is_some())?.is_none() {
        return Ok(None);
    }
    let found = membership::find_any(tx, registry, member, |one| one.tag == tag)?;
    let Some((member_type, stored)) = found else { return Ok(None) };
    let attributes = stored::attributes(&member_type, &stored)?;
    let shown = attributes.display(&member_type).unwrap_or_default().to_owned();
    Ok(Some((member_type, shown)))
}

/// Rejects cycles: other actors may have changed the memberships above meanwhile.
fn reject_cycles(
    tx: &Transaction<'_>,
    memberships: &[PlannedMembership],
) -> Result<(), DirectoryError> {
    let registry = &tx.settings().registry;
    for PlannedMembership { group, member, was, .. } in memberships {
        let tag = was.as_ref().and_then(|value| value.first().copied());
        let of_groups =
            tag.and_then(|tag| registry.by_tag(tag)).is_some_and(|one| one.members().is_some());
        if of_groups
            && membership::ancestors(tx, &Voids::load(tx)?, *group)?
                .iter()
                .any(|(above, _)| above == member)
        {
            return Err(DirectoryError::Unfit(format!(
                "nothing was undone: the group {member} would be in {group} again, which is in it by now; \
                 end that membership first, then undo again"
            )));
        }
    }
    Ok(())
}
