//! What the requests of one connection are held to.

use crate::config::{Connection, OnInactiveCreate, Scope, UnknownMembers};
use crate::directory::error::DirectoryError;
use crate::directory::stored::StoredResource;
use crate::directory::transaction::Transaction;
use crate::event::Reason;
use crate::scim::schema::ResourceType;

/// What the requests of one connection are held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionRules {
    /// What becomes of members that are not there.
    pub unknown_members: UnknownMembers,
    /// Which resources it may change.
    pub scope: Scope,
    /// What becomes of a new account that is there already and inactive.
    pub on_inactive_create: OnInactiveCreate,
}

impl From<&Connection> for ConnectionRules {
    fn from(connection: &Connection) -> Self {
        Self {
            unknown_members: connection.unknown_members,
            scope: connection.scope,
            on_inactive_create: connection.on_inactive_create,
        }
    }
}

impl ConnectionRules {
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
        let (Scope::Own, Some(manager)) = (self.scope, stored.record.manager()) else {
            return Ok(());
        };
        match tx.connection() {
            Some(own) if own != manager => {
                tx.record_denied(Reason::Scope);
                Err(DirectoryError::Forbidden(format!(
                    "The {} {} was created through the connection \"{manager}\"; the connection \"{own}\" \
                     may change what it created itself, and no more (scope = \"own\").",
                    resource_type.name, stored.id
                )))
            }
            _ => Ok(()),
        }
    }
}
