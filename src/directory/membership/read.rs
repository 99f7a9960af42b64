//! Reading memberships: the members of a group, and the groups of a resource. Void ones do not count.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::directory::error::DirectoryError;
use crate::directory::membership::graph::ancestors;
use crate::directory::membership::reference::{ReferenceList, Relation};
use crate::directory::membership::value::display;
use crate::directory::membership::void::Voids;
use crate::directory::stored::{self, StoredResource};
use crate::scim::attribute::Storage;
use crate::scim::registry::Registry;
use crate::scim::resource::{ResourceId, stored_name};
use crate::scim::schema::ResourceType;
use crate::store::{Read, StoreError, keys};

/// The references that a resource has, for those relations that are wanted. The markers are read once for a
/// page, before its memberships.
///
/// # Errors
///
/// `Large` if its members take more than `most_bytes` of memory; `Storage`.
pub(crate) fn references(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    resource_type: &ResourceType,
    id: ResourceId,
    wanted: &dyn Fn(&str) -> bool,
    most_bytes: usize,
) -> Result<Vec<(String, ReferenceList)>, DirectoryError> {
    let mut all = Vec::new();
    for attribute in resource_type.relations().filter(|attribute| wanted(&attribute.name)) {
        let references = match attribute.storage {
            Storage::Members => {
                let is_large = |members: &ReferenceList| members.held_bytes() > most_bytes;
                let members = members_until(state, registry, voids, id, None, &is_large)?;
                if is_large(&members) {
                    return Err(DirectoryError::Large);
                }
                members
            }
            Storage::Memberships => groups(state, registry, voids, id)?,
            Storage::Record | Storage::Computed => ReferenceList::default(),
        };
        if !references.is_empty() {
            all.push((attribute.name.clone(), references));
        }
    }
    Ok(all)
}

/// The digest of the groups that a resource shows, as it shows them: they change without its record. `None` if
/// there are none. Members do not count: the version of a group follows them.
///
/// Another build may have another digest for the same groups. A client then reads again what it knows.
pub(crate) fn digest_of_groups(references: &[(String, ReferenceList)]) -> Option<u64> {
    let mut groups = references
        .iter()
        .flat_map(|(_, references)| references.iter())
        .filter(|reference| matches!(reference.relation(), Relation::Group { .. }))
        .peekable();
    groups.peek()?;
    let mut digest = DefaultHasher::new();
    for group in groups {
        (group.id, group.relation(), group.display).hash(&mut digest);
    }
    Some(digest.finish())
}

/// A part of a group's members, in the order of their ids: those behind a member, or the first.
pub(crate) fn some_members(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    group: ResourceId,
    after: Option<ResourceId>,
    count: usize,
) -> Result<ReferenceList, StoreError> {
    members_until(state, registry, voids, group, after, &|members| members.len() >= count)
}

/// The members of a group, as [`some_members`], until they are enough.
fn members_until(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    group: ResourceId,
    after: Option<ResourceId>,
    are_enough: &dyn Fn(&ReferenceList) -> bool,
) -> Result<ReferenceList, StoreError> {
    let mut members = ReferenceList::default();
    visit_members(state, voids, group, after, &mut |id, value| {
        if are_enough(&members) {
            return ControlFlow::Break(());
        }
        push_member(registry, id, &value, &mut members);
        ControlFlow::Continue(())
    })?;
    Ok(members)
}

/// Those of some resources that are members of a group.
pub(crate) fn members_among(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    group: ResourceId,
    ids: &BTreeSet<ResourceId>,
) -> Result<ReferenceList, StoreError> {
    let mut members = ReferenceList::default();
    for id in ids {
        let value = state.get(&keys::member(group, *id))?;
        if let Some(value) = value.filter(|value| !voids.contain(group, *id, value)) {
            push_member(registry, *id, &value, &mut members);
        }
    }
    Ok(members)
}

/// Appends a member as a group refers to it, unless its type is no longer configured.
fn push_member(registry: &Registry, id: ResourceId, value: &[u8], members: &mut ReferenceList) {
    if let Some(resource_type) = value.first().and_then(|tag| registry.by_tag(*tag)) {
        members.push(id, resource_type, Relation::Member, display(value));
    }
}

/// Visits the members of a group in the order of their ids, those behind `after` if it is given, each with
/// its type's byte and name as stored.
pub(crate) fn visit_members(
    state: &dyn Read,
    voids: &Voids,
    group: ResourceId,
    after: Option<ResourceId>,
    visit: &mut dyn FnMut(ResourceId, Bytes) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let after = after.map(|member| keys::member(group, member));
    state.scan(&keys::members(group), after.as_deref(), &mut |key, value| match keys::trailing_id(
        key,
    ) {
        Some(member) if !voids.contain(group, member, &value) => visit(member, value),
        _ => ControlFlow::Continue(()),
    })
}

/// The groups that a resource belongs to, directly first, then through other groups.
fn groups(
    state: &dyn Read,
    registry: &Registry,
    voids: &Voids,
    member: ResourceId,
) -> Result<ReferenceList, DirectoryError> {
    let mut found = ReferenceList::default();
    for (group, direct) in ancestors(state, voids, member)? {
        let Some((group_type, stored)) =
            find_any(state, registry, group, |resource_type| resource_type.members().is_some())?
        else {
            continue;
        };
        let attributes = stored::attributes(&group_type, &stored)?;
        let display = attributes.display(&group_type).unwrap_or_default();
        found.push(group, &group_type, Relation::Group { direct }, display);
    }
    Ok(found)
}

/// The name that the directory has for a resource: the unique one of its type.
pub(crate) fn name_of(
    state: &dyn Read,
    registry: &Registry,
    id: ResourceId,
) -> Result<Option<String>, DirectoryError> {
    let Some((resource_type, stored)) = find_any(state, registry, id, |_| true)? else {
        return Ok(None);
    };
    let name = stored_name(&resource_type, &stored.record.json);
    Ok(name.map_err(|_| StoreError::damaged(&keys::record(resource_type.tag, id)))?)
}

/// Finds a resource whose type is not known, among the types that will do.
pub(crate) fn find_any(
    state: &dyn Read,
    registry: &Registry,
    id: ResourceId,
    will_do: impl Fn(&ResourceType) -> bool,
) -> Result<Option<(Arc<ResourceType>, StoredResource)>, DirectoryError> {
    for resource_type in registry.resource_types().iter().filter(|one| will_do(one)) {
        match stored::find(state, resource_type, id) {
            Ok(stored) => return Ok(Some((Arc::clone(resource_type), stored))),
            Err(DirectoryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
