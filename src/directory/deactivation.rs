//! Accounts that an operator has deactivated: they stay inactive, whatever clients send, until an operator
//! activates them.
//!
//! What a client wants is kept beside it, and is not what the account is: it stays inactive in every answer,
//! filter and grant. The key belongs to the id, so that it outlasts a deletion and an undo.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::transaction::Transaction;
use crate::scim::resource::{Resource, ResourceId};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::ACTIVE;
use crate::store::{Read, StoreError, keys};

/// The attribute under which the audit trail records what a client wants `active` to be.
const REQUESTED: &str = "active (requested)";

/// That an operator has deactivated an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deactivation {
    /// Since when.
    pub since: Timestamp,
    /// The operator.
    pub by: String,
    /// The reason that the operator gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the account was active before, or what a client has set `active` to since.
    pub requested_active: bool,
}

impl Deactivation {
    /// The deactivation of an account; one that can't be read is still one.
    pub(crate) fn find(state: &dyn Read, id: ResourceId) -> Result<Option<Self>, StoreError> {
        let stored = state.get(&keys::deactivated(id))?;
        Ok(stored.map(|value| {
            serde_json::from_slice(&value).unwrap_or_else(|_| Self {
                since: Timestamp::UNIX_EPOCH,
                by: "an operator".to_owned(),
                reason: Some("the record can't be read".to_owned()),
                requested_active: false,
            })
        }))
    }

    /// The deactivation of a resource that a client is about to change. Nothing is read for an active one.
    pub(crate) fn of(
        tx: &Transaction<'_>,
        resource_type: &ResourceType,
        id: ResourceId,
        previous: &Resource,
    ) -> Result<Option<Self>, StoreError> {
        match resource_type.is_account && !previous.is_active() {
            true => Self::find(tx, id),
            false => Ok(None),
        }
    }

    /// Sets `active` to what clients last wanted, so that the change of a client applies to that.
    pub(crate) fn lift(&self, resource_type: &ResourceType, resource: &mut Resource) {
        resource.put(resource_type, ACTIVE, self.requested_active.into());
    }

    /// Keeps a changed resource inactive, and what the client wants beside it; returns whether that is new.
    pub(crate) fn settle(
        mut self,
        tx: &mut Transaction<'_>,
        resource_type: &ResourceType,
        id: ResourceId,
        resource: &mut Resource,
    ) -> bool {
        let (before, wanted) = (self.requested_active, resource.is_active());
        resource.put(resource_type, ACTIVE, false.into());
        if wanted == before {
            return false;
        }
        self.requested_active = wanted;
        tx.details().value_changed(REQUESTED, Some(&before.into()), Some(&wanted.into()));
        self.put(tx, id);
        true
    }

    /// Stores it.
    pub(crate) fn put(&self, tx: &mut Transaction<'_>, id: ResourceId) {
        // A struct of texts has a form as JSON.
        tx.put(keys::deactivated(id), serde_json::to_vec(self).unwrap_or_default());
    }
}
