//! What operators change themselves: an account's `active`, one membership, and who manages an account.
//!
//! The events are those of a client's change, with the operator as actor and the reason in the details.

use std::sync::Arc;

use serde_json::json;

use crate::connection::UnknownMembers;
use crate::directory::deactivation::Deactivation;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, GroupMembers};
use crate::directory::rules::ConnectionRules;
use crate::directory::stored;
use crate::directory::transaction::{Command, Transaction};
use crate::event::Verb;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::ACTIVE;
use crate::store::keys;

/// Deactivates an account so that it stays inactive, or activates it.
pub struct SetActive {
    /// The resource type of accounts.
    pub resource_type: Arc<ResourceType>,
    /// The account.
    pub id: ResourceId,
    /// Whether to activate it.
    pub active: bool,
    /// The reason, for the audit trail.
    pub reason: Option<String>,
}

impl Command for SetActive {
    /// Whether anything changed, and the operator's deactivation: the one in force, or the one that ended.
    type Output = (bool, Option<Deactivation>);
    const OUTLASTS_SETTINGS: bool = true;

    fn takes_away(&self) -> bool {
        !self.active
    }

    /// # Errors
    ///
    /// `NotFound`; `Storage`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Self::Output, DirectoryError> {
        let (resource_type, id) = (&self.resource_type, self.id);
        let present = stored::find(tx, resource_type, id)?;
        let previous = stored::attributes(resource_type, &present)?;
        let earlier = Deactivation::find(tx, id)?;
        let deactivation = match (self.active, earlier) {
            (true, None) if previous.is_active() => return Ok((false, None)),
            (false, Some(earlier)) if !previous.is_active() => return Ok((false, Some(earlier))),
            (true, earlier) => {
                if earlier.is_some() {
                    tx.delete(keys::deactivated(id));
                }
                earlier
            }
            (false, _) => {
                let deactivation = Deactivation {
                    since: tx.now(),
                    by: tx.actor().to_string(),
                    reason: self.reason.clone(),
                    requested_active: previous.is_active(),
                };
                deactivation.put(tx, id);
                Some(deactivation)
            }
        };
        let mut next = previous.clone();
        next.put(resource_type, ACTIVE, self.active.into());
        tx.details().describe(resource_type, Some(&previous), Some(&next));
        tx.details().reason(self.reason.as_deref());
        tx.record(stored::event(resource_type, Verb::Patched, id));
        if next != previous {
            let meta = stored::next_meta(tx, resource_type, &present)?;
            let manager = present.record.manager();
            stored::write(tx, resource_type, id, &meta, &next, Some(&previous), manager)?;
        }
        Ok((true, deactivation))
    }
}

/// Adds a member to a group, or removes it.
pub struct ChangeMember {
    /// The resource type of groups.
    pub group_type: Arc<ResourceType>,
    /// The group.
    pub group: ResourceId,
    /// The member.
    pub member: ResourceId,
    /// Whether to add it.
    pub add: bool,
    /// The reason, for the audit trail.
    pub reason: Option<String>,
}

impl Command for ChangeMember {
    /// Whether anything changed.
    type Output = bool;
    const OUTLASTS_SETTINGS: bool = true;

    fn takes_away(&self) -> bool {
        !self.add
    }

    /// # Errors
    ///
    /// `NotFound`; `Invalid` if the member does not exist; `Storage`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<bool, DirectoryError> {
        let (group_type, id) = (&self.group_type, self.group);
        let present = stored::find(tx, group_type, id)?;
        let attributes = stored::attributes(group_type, &present)?;
        let mut members = GroupMembers::new(tx, id)?;
        let changed = match self.add {
            true => {
                let element = json!({"value": self.member.to_string()});
                let named = membership::named(&[element], UnknownMembers::Refuse)?;
                members.add(tx, &named, ConnectionRules::default())?
            }
            false => members.remove(tx, [self.member])?,
        };
        members.finish(tx);
        if !changed {
            return Ok(false);
        }
        let meta = stored::next_meta(tx, group_type, &present)?;
        tx.details().describe(group_type, Some(&attributes), Some(&attributes));
        tx.details().reason(self.reason.as_deref());
        tx.record(stored::event(group_type, Verb::Patched, id));
        let manager = present.record.manager();
        stored::write(tx, group_type, id, &meta, &attributes, Some(&attributes), manager)?;
        Ok(true)
    }
}

/// Has another connection manage an account.
pub struct Transfer {
    /// The resource type of accounts.
    pub resource_type: Arc<ResourceType>,
    /// The account.
    pub id: ResourceId,
    /// The connection that manages it from now on.
    pub connection: String,
    /// The reason, for the audit trail.
    pub reason: Option<String>,
}

impl Command for Transfer {
    /// The connection that managed it before, if it is known.
    type Output = Option<String>;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `NotFound`; `Storage`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Option<String>, DirectoryError> {
        let (resource_type, id) = (&self.resource_type, self.id);
        let present = stored::find(tx, resource_type, id)?;
        let manager = present.record.manager().map(ToOwned::to_owned);
        let connection = self.connection.as_str();
        if manager.as_deref() == Some(connection) {
            return Ok(manager);
        }
        let attributes = stored::attributes(resource_type, &present)?;
        let meta = stored::next_meta(tx, resource_type, &present)?;
        tx.details().describe(resource_type, Some(&attributes), Some(&attributes));
        let before = manager.as_deref().map(Into::into);
        tx.details().value_changed("connection", before.as_ref(), Some(&connection.into()));
        tx.details().reason(self.reason.as_deref());
        tx.record(stored::event(resource_type, Verb::Patched, id));
        let (previous, manager_then) = (Some(&attributes), Some(connection));
        stored::write(tx, resource_type, id, &meta, &attributes, previous, manager_then)?;
        Ok(manager)
    }
}
