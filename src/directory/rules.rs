//! The rules for the requests of one connection.

use crate::connection::{ConnectionSettings, OnInactiveCreate, Scope, UnknownMembers};
use crate::directory::error::DirectoryError;
use crate::directory::stored::StoredResource;
use crate::directory::transaction::Transaction;
use crate::event::Reason;
use crate::scim::schema::ResourceType;

/// The rules for the requests of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionRules {
    /// What to do about members that do not exist.
    pub unknown_members: UnknownMembers,
    /// The resources that it may change.
    pub scope: Scope,
    /// What to do when a new account exists already and is inactive.
    pub on_inactive_create: OnInactiveCreate,
}

impl From<&ConnectionSettings> for ConnectionRules {
    fn from(connection: &ConnectionSettings) -> Self {
        Self {
            unknown_members: connection.unknown_members,
            scope: connection.scope,
            on_inactive_create: connection.on_inactive_create,
        }
    }
}

impl ConnectionRules {
    /// Whether a resource may be changed, or made a member of a group that gives access.
    pub(crate) fn covers(self, tx: &Transaction<'_>, stored: &StoredResource) -> bool {
        match (self.scope, stored.record.manager(), tx.connection()) {
            (Scope::Read, ..) => false,
            (Scope::Own, Some(manager), Some(own)) => own == manager,
            _ => true,
        }
    }

    /// Checks that a resource may be changed, or made a member of a group that gives access.
    ///
    /// # Errors
    ///
    /// `Forbidden`, naming the connection that created it.
    pub(crate) fn check_scope(
        self,
        tx: &Transaction<'_>,
        resource_type: &ResourceType,
        stored: &StoredResource,
    ) -> Result<(), DirectoryError> {
        if self.covers(tx, stored) {
            return Ok(());
        }
        tx.record_denied(Reason::Scope);
        let manager = stored.record.manager().unwrap_or_default();
        let own = tx.connection().unwrap_or_default();
        Err(DirectoryError::Forbidden(format!(
            "The {} {} is managed by connection \"{manager}\"; connection \"{own}\" may only change what it created \
             itself (scope = \"own\").",
            resource_type.name, stored.id
        )))
    }
}
