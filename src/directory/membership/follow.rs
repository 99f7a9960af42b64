//! Memberships follow the resource that they belong to: it is deleted, or renamed.

use std::ops::ControlFlow;

use crate::directory::error::DirectoryError;
use crate::directory::membership::change::{link, note_removed, unlink};
use crate::directory::membership::graph::{stored_groups_of, valid};
use crate::directory::membership::read::{find_any, name_of, visit_members};
use crate::directory::membership::void::{IN_PLACE, Marker, Rename, Voids};
use crate::directory::stored;
use crate::directory::transaction::Transaction;
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;
use crate::store::{Read, keys};

/// How many bytes a command may have written to end or rename memberships itself: the groups, which get a new
/// version, may be large.
const IN_PLACE_BYTES: usize = if cfg!(test) { 4_096 } else { 16 * 1024 * 1024 };

/// Ends every membership of a resource that is deleted; the versions of its groups follow. If they are
/// very many, a marker voids them.
pub(crate) fn leave_all(tx: &mut Transaction<'_>, id: ResourceId) -> Result<(), DirectoryError> {
    let voids = Voids::load(tx)?;
    forget_rename(tx, id)?;
    // What takes away never fails for size: reading is not charged.
    let mut members = Vec::new();
    visit_members(tx.unmetered(), &voids, id, None, &mut |member, _| {
        members.push(member);
        ControlFlow::Continue(())
    })?;
    let groups = stored_groups_of(tx.unmetered(), id)?;
    let groups = valid(tx.unmetered(), groups, id, &voids)?;
    // What an earlier marker voids may be there still. A marker does the rest, however much was done before.
    let mut by_marker = voids.get(id).is_some() || !fits_in_place(tx, members.len() + groups.len());
    for member in &members {
        note_removed(tx, *member)?;
        if !by_marker {
            unlink(tx, id, *member);
        }
    }
    for group in groups {
        by_marker = by_marker || !fits_in_place(tx, 1);
        let name = if by_marker {
            // The versions follow when the memberships are cleared.
            match tx.details().names_left() {
                true => name_of(tx, &tx.settings().registry, group)?,
                false => None,
            }
        } else {
            unlink(tx, group, id);
            bump_version(tx, group)?
        };
        tx.details().left_group(group, name);
    }
    if by_marker {
        Marker::of_deleted(tx.actor(), tx.now()).put(tx, id);
    }
    Ok(())
}

/// Whether a command ends or renames so many more memberships itself, rather than by a marker.
fn fits_in_place(tx: &Transaction<'_>, count: usize) -> bool {
    count <= IN_PLACE && tx.bytes_within(IN_PLACE_BYTES)
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
    forget_rename(tx, id)?;
    let voids = Voids::load(tx)?;
    let groups = valid(tx.unmetered(), stored_groups_of(tx.unmetered(), id)?, id, &voids)?;
    let mut marker = Rename::new(tx.actor());
    let mut by_marker = !fits_in_place(tx, groups.len());
    for group in groups {
        by_marker = by_marker || !fits_in_place(tx, 1);
        if by_marker {
            tx.put(keys::renamed(id), marker.encode());
            break;
        }
        let display = display.unwrap_or_default();
        link(tx, group, id, member_type, display, voids.stamp(group));
        bump_version(tx, group)?;
        marker.cursor = group;
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
    let voids = Voids::load(tx)?;
    let groups = valid(tx, stored_groups_of(tx, id)?, id, &voids)?;
    for group in &groups {
        link(tx, *group, id, member_type, display, voids.stamp(*group));
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
    Ok(attributes.name(&group_type).map(ToOwned::to_owned))
}
