//! Replace (RFC 7644, section 3.5.1).

use std::sync::Arc;

use serde_json::Value;

use crate::directory::deactivation::Deactivation;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, GroupMembers};
use crate::directory::rules::ConnectionRules;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::{Command, Transaction};
use crate::event::Verb;
use crate::scim::exchange::Renaming;
use crate::scim::resource::{Resource, Version};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::user::ACTIVE;
use crate::scim::validate::{check_immutable, keep_name, keep_unseen};

/// Puts a resource in the place of another, and answers it as stored.
///
/// What the client leaves out is cleared, but for attributes that an omission keeps. A replacement
/// that changes nothing leaves version and `lastModified` as they are, unless it writes what is never returned.
#[derive(Clone)]
pub struct Replace {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// The id, as the client gave it.
    pub id: String,
    /// The versions that the client accepts; `None` for any.
    pub expected: Option<Vec<Version>>,
    /// The attributes.
    pub resource: Resource,
    /// Whether it may rename what it replaces.
    pub renaming: Renaming,
    /// The rules of the connection.
    pub rules: ConnectionRules,
}

impl Command for Replace {
    type Output = StoredResource;

    fn takes_away(&self) -> bool {
        self.resource.get(ACTIVE) == Some(&Value::Bool(false))
    }

    /// # Errors
    ///
    /// `NotFound`; `VersionMismatch`; `Taken`; `Invalid` with `mutability`, or with `invalidValue` if the
    /// resource is too large or names a member that can't be one.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<StoredResource, DirectoryError> {
        let resource_type = &self.resource_type;
        let id = stored::parse_id(resource_type, &self.id)?;
        let present = stored::find(tx, resource_type, id)?;
        stored::check_version(self.expected.as_deref(), present.record.version)?;
        self.rules.check_scope(tx, resource_type, &present)?;
        let manager = present.record.manager().map(ToOwned::to_owned);
        let mut replacement = self.resource.clone();
        if self.renaming == Renaming::Refused {
            let previous = stored::attributes(resource_type, &present)?;
            keep_name(resource_type, &previous, &mut replacement)?;
        }
        put(tx, resource_type, present, replacement, self.rules, manager.as_deref())
    }
}

/// Puts a replacement in the place of a resource, which `manager` manages from now on.
pub(crate) fn put(
    tx: &mut Transaction<'_>,
    resource_type: &ResourceType,
    present: StoredResource,
    mut replacement: Resource,
    rules: ConnectionRules,
    manager: Option<&str>,
) -> Result<StoredResource, DirectoryError> {
    let id = present.id;
    let previous = stored::attributes(resource_type, &present)?;
    let members = replacement.take_members(resource_type);
    let writes_unseen = has_unseen_value(&replacement, resource_type);
    keep_unseen(resource_type, &previous, &mut replacement);
    check_immutable(resource_type, &previous, &replacement)?;
    let deactivation = Deactivation::of(tx, resource_type, id, &previous)?;
    match &deactivation {
        Some(deactivation) => {
            let mut lifted = previous.clone();
            deactivation.lift(resource_type, &mut lifted);
            replacement.complete(resource_type, Some(&lifted));
        }
        None => replacement.complete(resource_type, Some(&previous)),
    }
    let is_requested = deactivation
        .is_some_and(|deactivation| deactivation.settle(tx, resource_type, id, &mut replacement));
    let mut changed = writes_unseen || replacement != previous;
    if resource_type.members().is_some() {
        let members = membership::named(&members, rules.unknown_members)?;
        let mut present = GroupMembers::new(tx, id)?;
        changed |= present.set(tx, &members, rules)?;
        present.finish(tx);
    }
    if changed || is_requested {
        tx.details().describe(resource_type, Some(&previous), Some(&replacement));
        tx.record(stored::event(resource_type, Verb::Replaced, id));
    }
    if !changed {
        return Ok(present);
    }
    let meta = stored::next_meta(tx, resource_type, &present)?;
    membership::rename(tx, resource_type, id, &previous, &replacement)?;
    stored::write(tx, resource_type, id, &meta, &replacement, Some(&previous), manager)
}

/// Whether a resource has a value that is stored and never returned.
fn has_unseen_value(resource: &Resource, resource_type: &ResourceType) -> bool {
    let mut own = resource_type.own_attributes();
    own.any(|(extension, attribute)| {
        attribute.is_stored_unseen() && resource.value(extension, &attribute.name).is_some()
    })
}
