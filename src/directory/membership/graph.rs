//! The graph that groups in groups make: what is above a resource, and that no group contains itself.

use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;

use crate::directory::error::DirectoryError;
use crate::directory::membership::void::Voids;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::resource::ResourceId;
use crate::store::{Read, StoreError, keys};

/// How many groups may stand between a member and the topmost group that it belongs to, all paths together.
const MAX_ANCESTORS: usize = 10_000;

/// Every group above a resource, nearest first, and whether it is directly above. The markers were read
/// before: read last, the marker of a membership that was read could be cleared by then.
pub(crate) fn ancestors(
    state: &dyn Read,
    voids: &Voids,
    member: ResourceId,
) -> Result<Vec<(ResourceId, bool)>, StoreError> {
    let direct = valid(state, stored_groups_of(state, member)?, member, voids)?;
    let mut found = Vec::new();
    climb(state, voids, member, direct, &mut |below, group, is_new| {
        if is_new {
            found.push((group, below == member));
        }
    })?;
    Ok(found)
}

/// Climbs from a resource in some groups to every group above it, nearest first. Visits each membership on the
/// way: the member, the group, and whether it is the first that leads to the group.
pub(crate) fn climb(
    state: &dyn Read,
    voids: &Voids,
    member: ResourceId,
    direct: Vec<ResourceId>,
    visit: &mut dyn FnMut(ResourceId, ResourceId, bool),
) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let mut waiting = VecDeque::from([(member, direct)]);
    while let Some((below, groups)) = waiting.pop_front() {
        for group in groups {
            if seen.contains(&group) {
                visit(below, group, false);
            } else if seen.len() < MAX_ANCESTORS {
                seen.insert(group);
                visit(below, group, true);
                let above = valid(state, stored_groups_of(state, group)?, group, voids)?;
                waiting.push_back((group, above));
            }
        }
    }
    Ok(())
}

/// The groups that a resource belongs to directly.
pub(crate) fn groups_of(
    state: &dyn Read,
    member: ResourceId,
) -> Result<Vec<ResourceId>, StoreError> {
    // First the markers: read last, the marker of a membership that was read could be cleared by then.
    let voids = Voids::load(state)?;
    valid(state, stored_groups_of(state, member)?, member, &voids)
}

/// Those groups in which a membership counts.
pub(super) fn valid(
    state: &dyn Read,
    groups: Vec<ResourceId>,
    member: ResourceId,
    voids: &Voids,
) -> Result<Vec<ResourceId>, StoreError> {
    let mut valid = Vec::with_capacity(groups.len());
    for group in groups {
        if !voids.contain_stored(state, group, member)? {
            valid.push(group);
        }
    }
    Ok(valid)
}

/// The groups to which a resource has memberships, void or not.
pub(super) fn stored_groups_of(
    state: &dyn Read,
    member: ResourceId,
) -> Result<Vec<ResourceId>, StoreError> {
    let mut ids = Vec::new();
    state.scan(&keys::memberships(member), None, &mut |key, _| {
        ids.extend(keys::trailing_id(key));
        ControlFlow::Continue(())
    })?;
    Ok(ids)
}

/// The groups that can't become members of a group: those above it, and itself.
///
/// # Errors
///
/// `Invalid` with `tooMany` if there are too many to know; `Storage`.
pub(super) fn above_and_itself(
    state: &dyn Read,
    group: ResourceId,
) -> Result<HashSet<ResourceId>, DirectoryError> {
    let above = ancestors(state, &Voids::load(state)?, group)?;
    if above.len() >= MAX_ANCESTORS {
        return Err(ScimError::new(
            ScimType::TooMany,
            format!(
                "Group {group} is nested below {MAX_ANCESTORS} others; it can't contain groups."
            ),
        )
        .into());
    }
    Ok(above.into_iter().map(|(id, _)| id).chain([group]).collect())
}

/// Refuses a cycle: a group that would become a member of one that it contains.
///
/// # Errors
///
/// `Invalid` with `invalidValue`.
pub(super) fn reject_cycle(
    above: &HashSet<ResourceId>,
    member: ResourceId,
) -> Result<(), DirectoryError> {
    if above.contains(&member) {
        return Err(ScimError::invalid_value(format!(
            "Group {member} can't be a member: the group would contain itself."
        ))
        .into());
    }
    Ok(())
}
