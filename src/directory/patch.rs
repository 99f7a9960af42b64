//! Patch (RFC 7644, section 3.5.2).

use std::sync::Arc;

use serde_json::Value;

use super::error::DirectoryError;
use super::member;
use super::resource::{self, Stored};
use super::work::{Command, Work};
use crate::event::Verb;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::patch::{self, Op, Operation, PatchRequest};
use crate::scim::projection::Projection;
use crate::scim::resource::{ResourceId, Version};
use crate::scim::schema::ResourceType;

/// Applies operations to a resource, all or none, and answers it as stored.
///
/// Operations on members touch the members that they name and no others. A patch that changes nothing
/// leaves version and `lastModified` as they are.
pub struct Patch {
    /// Of which type.
    pub resource_type: Arc<ResourceType>,
    /// The id, as the client gave it.
    pub id: String,
    /// The versions that the client accepts; `None` for any.
    pub expected: Option<Vec<Version>>,
    /// What to do.
    pub request: PatchRequest,
    /// The attributes that the client wants to see: what it does not want is not read.
    pub projection: Projection,
}

impl Command for Patch {
    type Output = Stored;

    /// # Errors
    ///
    /// `NotFound`; `VersionMismatch`; `Invalid` with the keyword of RFC 7644, section 3.5.2, that says
    /// which operation can't be done and why.
    fn run(&self, work: &mut Work<'_>) -> Result<Stored, DirectoryError> {
        let resource_type = &self.resource_type;
        let id = resource::parse_id(resource_type, &self.id)?;
        let present = resource::find(work, resource_type, id)?;
        resource::check_version(self.expected.as_deref(), present.record.version)?;
        let previous = resource::attributes(resource_type, &present)?;
        let mut patched = previous.clone();
        let mut changed = false;
        let members = resource_type.members().map(|members| members.name.as_str());
        for operation in &self.request.operations {
            if members == Some(operation.target.attribute.as_str()) {
                changed |= patch_members(work, resource_type, id, operation)?;
            } else {
                patch::apply(resource_type, &mut patched, operation)?;
            }
        }
        patch::finish(resource_type, &mut patched)?;
        changed |= patched != previous;
        let stored = if changed {
            let meta = resource::next_meta(work, resource_type, &present)?;
            member::rename(work, resource_type, id, &previous, &patched)?;
            work.record(resource::event(resource_type, Verb::Patched, id));
            resource::write(work, resource_type, id, &meta, &patched, Some(&previous))?
        } else {
            present
        };
        resource::with_references(work, resource_type, stored, &|name| self.projection.wants(name))
    }
}

/// Changes who belongs to a group; whether that changes anything.
fn patch_members(
    work: &mut Work<'_>,
    resource_type: &ResourceType,
    group: ResourceId,
    operation: &Operation,
) -> Result<bool, DirectoryError> {
    let target = &operation.target;
    if target.sub_attribute.is_some() {
        return Err(ScimError::new(
            ScimType::Mutability,
            "A member can't be changed in part; remove it and add another.",
        )
        .into());
    }
    let value = patch::value(resource_type, operation)?;
    let named = value.as_ref().map(member::ids).transpose()?;
    let mut changed = false;
    match (operation.op, &target.filter, named) {
        (Op::Remove, Some(filter), _) => {
            for member in member::matching(work, resource_type, group, filter)? {
                changed |= member::remove(work, group, member)?;
            }
        }
        (_, Some(_), _) => {
            return Err(ScimError::new(
                ScimType::NoTarget,
                "Members are added and replaced as a whole, without a filter.",
            )
            .into());
        }
        (Op::Add, None, named) => {
            for member in named.unwrap_or_default() {
                changed |= member::add(work, group, member)?;
            }
        }
        (Op::Replace, None, named) => {
            changed = member::set(work, group, &named.unwrap_or_default())?;
        }
        (Op::Remove, None, named) => match (&operation.value, named) {
            // Some clients name those to be removed in the value; a list without any removes none.
            (Some(Value::Null) | None, _) => changed = member::remove_all(work, group)?,
            (Some(_), named) => {
                for member in named.unwrap_or_default() {
                    changed |= member::remove(work, group, member)?;
                }
            }
        },
    }
    Ok(changed)
}
