//! Patch (RFC 7644, section 3.5.2).

use std::sync::Arc;

use crate::connection::UnknownMembers;
use crate::directory::deactivation::Deactivation;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, GroupMembers};
use crate::directory::rules::ConnectionRules;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::{Command, Transaction};
use crate::event::Verb;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::patch::{self, Op, PatchOperation, PatchRequest};
use crate::scim::resource::{ResourceId, Version};
use crate::scim::schema::ResourceType;

/// After how many operations the time that the command takes is checked: a request of few operations never
/// fails because the machine stalled.
const TIMED_EVERY: usize = 16;

/// Applies operations to a resource, all or none, and answers it as stored.
///
/// Operations on members touch the members that they name and no others. A patch that changes nothing
/// leaves version and `lastModified` as they are, unless it writes what is never returned.
#[derive(Clone)]
pub struct Patch {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// The id, as the client gave it.
    pub id: String,
    /// The versions that the client accepts; `None` for any.
    pub expected: Option<Vec<Version>>,
    /// The operations.
    pub request: PatchRequest,
    /// The rules of the connection.
    pub rules: ConnectionRules,
}

impl Command for Patch {
    type Output = StoredResource;

    fn takes_away(&self) -> bool {
        self.request.operations.iter().all(PatchOperation::takes_away)
    }

    /// # Errors
    ///
    /// `NotFound`; `VersionMismatch`; `Invalid` with the keyword of RFC 7644, section 3.5.2, that says
    /// which operation can't be done and why.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<StoredResource, DirectoryError> {
        let resource_type = &self.resource_type;
        let id = stored::parse_id(resource_type, &self.id)?;
        let present = stored::find(tx, resource_type, id)?;
        stored::check_version(self.expected.as_deref(), present.record.version)?;
        if !self.rules.covers(tx, &present) && !self.only_removes_own(tx)? {
            self.rules.check_scope(tx, resource_type, &present)?;
        }
        let previous = stored::attributes(resource_type, &present)?;
        let deactivation = Deactivation::of(tx, resource_type, id, &previous)?;
        let mut patched = previous.clone();
        if let Some(deactivation) = &deactivation {
            deactivation.lift(resource_type, &mut patched);
        }
        let mut changed = false;
        let members = resource_type.members().map(|members| members.name.as_str());
        let mut group = members.map(|_| GroupMembers::new(tx, id)).transpose()?;
        for (number, operation) in self.request.operations.iter().enumerate() {
            if number % TIMED_EVERY == TIMED_EVERY - 1 {
                tx.budget().check_time()?;
            }
            match &mut group {
                Some(group) if members == Some(operation.target.attribute.as_str()) => {
                    changed |= patch_members(tx, resource_type, group, operation, self.rules)?;
                }
                _ => changed |= patch::apply(resource_type, &mut patched, operation)?,
            }
        }
        if let Some(group) = group {
            group.finish(tx);
        }
        patch::finish(resource_type, &previous, &mut patched)?;
        let is_requested = deactivation
            .is_some_and(|deactivation| deactivation.settle(tx, resource_type, id, &mut patched));
        changed |= patched != previous;
        if changed || is_requested {
            tx.details().describe(resource_type, Some(&previous), Some(&patched));
            tx.record(stored::event(resource_type, Verb::Patched, id));
        }
        let stored = if changed {
            let meta = stored::next_meta(tx, resource_type, &present)?;
            membership::rename(tx, resource_type, id, &previous, &patched)?;
            let manager = present.record.manager();
            stored::write(tx, resource_type, id, &meta, &patched, Some(&previous), manager)?
        } else {
            present
        };
        Ok(stored)
    }
}

impl Patch {
    /// Whether it only ends memberships of resources that the connection manages itself. Taking access from
    /// those is allowed in every group.
    fn only_removes_own(&self, tx: &Transaction<'_>) -> Result<bool, DirectoryError> {
        let Some(members) = self.resource_type.members() else { return Ok(false) };
        for operation in &self.request.operations {
            let target = &operation.target;
            let ends = operation.op == Op::Remove && target.attribute == members.name;
            let elements = operation.elements(&self.resource_type)?;
            let ids: Vec<ResourceId> = match (&target.filter, elements) {
                _ if !ends || target.sub_attribute.is_some() => return Ok(false),
                (Some(filter), _) => match membership::named_by(filter) {
                    Some(id) => ResourceId::parse(id).into_iter().collect(),
                    None => return Ok(false),
                },
                (None, Some(elements)) => {
                    let named = membership::named(&elements, UnknownMembers::Ignore)?;
                    membership::ids(&named).collect()
                }
                (None, None) => return Ok(false),
            };
            for id in ids {
                let member = membership::find_any(tx, &tx.settings().registry, id, |_| true)?;
                if member.is_some_and(|(_, member)| member.record.manager() != tx.connection()) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Changes who belongs to a group; whether that changes anything.
fn patch_members(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    group: &mut GroupMembers,
    operation: &PatchOperation,
    rules: ConnectionRules,
) -> Result<bool, DirectoryError> {
    let target = &operation.target;
    if target.sub_attribute.is_some() {
        return Err(ScimError::new(
            ScimType::Mutability,
            "A part of a member can't be changed; remove the member and add another.",
        )
        .into());
    }
    let elements = operation.elements(resource_type)?;
    // Members that are removed need not exist.
    let unknown =
        if operation.op == Op::Remove { UnknownMembers::Ignore } else { rules.unknown_members };
    let named = membership::named(elements.as_deref().unwrap_or_default(), unknown)?;
    match (operation.op, &target.filter) {
        (Op::Remove, Some(filter)) => group.remove_matching(tx, resource_type, filter),
        (Op::Add | Op::Replace, Some(_)) => Err(ScimError::new(
            ScimType::NoTarget,
            "Members can't be added or replaced with a filter.",
        )
        .into()),
        (Op::Add, None) => group.add(tx, &named, rules),
        (Op::Replace, None) => group.set(tx, &named, rules),
        // Some clients name those to be removed in the value; a list without any removes none.
        (Op::Remove, None) if elements.is_none() => group.remove_all(tx),
        (Op::Remove, None) => group.remove(tx, membership::ids(&named)),
    }
}
