//! Delete (RFC 7644, section 3.6).

use std::sync::Arc;

use crate::directory::error::DirectoryError;
use crate::directory::membership;
use crate::directory::rules::ConnectionRules;
use crate::directory::stored;
use crate::directory::transaction::{Command, Transaction};
use crate::event::Verb;
use crate::scim::resource::Version;
use crate::scim::schema::ResourceType;

/// Deletes a resource for good: its unique values are free again, and it is a member of nothing.
#[derive(Clone)]
pub struct Delete {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// The id, as the client gave it.
    pub id: String,
    /// The versions that the client accepts; `None` for any.
    pub expected: Option<Vec<Version>>,
    /// The rules of the connection.
    pub rules: ConnectionRules,
}

impl Command for Delete {
    type Output = ();

    fn takes_away(&self) -> bool {
        true
    }

    /// # Errors
    ///
    /// `NotFound`; `VersionMismatch`.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let resource_type = &self.resource_type;
        let id = stored::parse_id(resource_type, &self.id)?;
        let present = stored::find(tx, resource_type, id)?;
        stored::check_version(self.expected.as_deref(), present.record.version)?;
        self.rules.check_scope(tx, resource_type, &present)?;
        let previous = stored::attributes(resource_type, &present)?;
        stored::remove(tx, resource_type, id, &previous)?;
        membership::leave_all(tx, id)?;
        tx.details().describe(resource_type, Some(&previous), None);
        stored::count(tx, resource_type, |count| count.saturating_sub(1))?;
        tx.record(stored::event(resource_type, Verb::Deleted, id));
        Ok(())
    }
}
