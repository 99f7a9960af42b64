//! What operators change in the directory themselves: `active`, one membership, who manages an account.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::kind::ResourceKind;
use super::lookup;
use super::reply::{ChangeReport, OperatorReply};
use crate::directory::{ChangeMember, Directory, DirectoryError, SetActive, Transfer};
use crate::event::Actor;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;

/// A change of an operator. Users and groups are named by id, name, or, where it is one's alone, externalId or
/// email address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorChange {
    /// Activate a user, or deactivate it until an operator activates it.
    SetActive {
        /// The user.
        user: String,
        /// Whether to activate it.
        active: bool,
    },
    /// Add a user to a group, or remove it.
    ChangeMember {
        /// The group.
        group: String,
        /// The user.
        user: String,
        /// Whether to add it.
        add: bool,
    },
    /// Have a connection of the configuration manage a user.
    Transfer {
        /// The user.
        user: String,
        /// The connection.
        connection: String,
    },
}

pub(super) fn make(
    directory: &Directory,
    actor: Actor,
    change: OperatorChange,
    reason: Option<String>,
) -> Result<OperatorReply, DirectoryError> {
    let user = match &change {
        OperatorChange::SetActive { user, .. }
        | OperatorChange::ChangeMember { user, .. }
        | OperatorChange::Transfer { user, .. } => user,
    };
    let (resource_type, id, name) = find(directory, ResourceKind::User, user)?;
    let mut report = ChangeReport {
        id: id.to_string(),
        name,
        group: None,
        changed: false,
        deactivation: None,
        connection: None,
    };
    match change {
        OperatorChange::SetActive { active, .. } => {
            let command = SetActive { resource_type, id, active, reason };
            (report.changed, report.deactivation) = directory.submit(actor, command).wait()?;
        }
        OperatorChange::ChangeMember { group, add, .. } => {
            let (group_type, group, name) = find(directory, ResourceKind::Group, &group)?;
            let command = ChangeMember { group_type, group, member: id, add, reason };
            report.changed = directory.submit(actor, command).wait()?;
            report.group = Some(name);
        }
        OperatorChange::Transfer { connection, .. } => {
            let command = Transfer { resource_type, id, connection: connection.clone(), reason };
            report.connection = directory.submit(actor, command).wait()?;
            report.changed = report.connection.as_ref() != Some(&connection);
        }
    }
    Ok(OperatorReply::Changed(report))
}

/// The type, id and name of a resource.
fn find(
    directory: &Directory,
    kind: ResourceKind,
    text: &str,
) -> Result<(Arc<ResourceType>, ResourceId, String), DirectoryError> {
    let (resource_type, found) = lookup::find(directory, kind, text, &|_| false)?;
    let name = directory.name_of(found.stored.id)?.unwrap_or_default();
    Ok((resource_type, found.stored.id, name))
}
