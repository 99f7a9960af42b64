//! Create (RFC 7644, section 3.3).

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::ContextV7;

use crate::connection::OnInactiveCreate;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, GroupMembers};
use crate::directory::resource::replace;
use crate::directory::rules::ConnectionRules;
use crate::directory::stored::index;
use crate::directory::stored::{self, StoredResource};
use crate::directory::transaction::{Command, Transaction};
use crate::event::Verb;
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::common::EXTERNAL_ID;
use crate::scim::schemas::user::ACTIVE;

/// Creates a resource and answers it as stored.
#[derive(Clone)]
pub struct Create {
    /// The resource type.
    pub resource_type: Arc<ResourceType>,
    /// Its id, if others refer to it already; else a new one.
    pub id: Option<ResourceId>,
    /// The attributes.
    pub resource: Resource,
    /// The rules of the connection.
    pub rules: ConnectionRules,
}

impl Command for Create {
    type Output = StoredResource;

    /// Where the rules say so, a namesake that is inactive takes over what is given instead.
    ///
    /// # Errors
    ///
    /// `Taken` if another resource holds a value that must be unique; `Invalid` with
    /// `invalidValue` if the resource is too large or names a member that can't be one.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<StoredResource, DirectoryError> {
        let resource_type = &self.resource_type;
        if let Some(present) = self.inactive_namesake(tx)? {
            return self.reactivate(tx, present);
        }
        let now = tx.now();
        let id = self.id.unwrap_or_else(|| new_id(now));
        let mut resource = self.resource.clone();
        let members = resource.take_members(resource_type);
        resource.complete(resource_type, None);
        let meta = Meta { created: now, last_modified: now, version: Version::FIRST };
        let stored = stored::write(tx, resource_type, id, &meta, &resource, None, tx.connection())?;
        tx.details().describe(resource_type, None, Some(&resource));
        stored::count(tx, resource_type, |count| count.saturating_add(1))?;
        let members = membership::named(&members, self.rules.unknown_members)?;
        if !members.is_empty() {
            let mut present = GroupMembers::new(tx, id)?;
            present.add(tx, &members, self.rules)?;
            present.finish(tx);
        }
        tx.record(stored::event(resource_type, Verb::Created, id));
        Ok(stored)
    }
}

impl Create {
    /// The inactive account of the same connection that has a unique value of the new one, or its external id,
    /// if such are to be opened again.
    fn inactive_namesake(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<Option<StoredResource>, DirectoryError> {
        let resource_type = &self.resource_type;
        if self.rules.on_inactive_create == OnInactiveCreate::Conflict || !resource_type.is_account
        {
            return Ok(None);
        }
        // The name counts before the external id. Accounts of other connections are not taken over: they
        // would come with their groups, and their managers could not close them again.
        let by_name = resource_type.indexed().filter(|indexed| indexed.leaf().is_unique());
        let by_id = resource_type.indexed().filter(|indexed| indexed.leaf().name == EXTERNAL_ID);
        for indexed in by_name.chain(by_id) {
            for value in self.resource.indexed_values(&indexed) {
                for id in index::holders(tx, resource_type, &indexed, value)? {
                    let present = stored::find(tx, resource_type, id)?;
                    let is_own = present.record.manager() == tx.connection();
                    if is_own && !stored::attributes(resource_type, &present)?.is_active() {
                        return Ok(Some(present));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Opens an account again: its id, its groups and its immutable values stay, everything else is as
    /// the request says.
    fn reactivate(
        &self,
        tx: &mut Transaction<'_>,
        present: StoredResource,
    ) -> Result<StoredResource, DirectoryError> {
        let mut resource = self.resource.clone();
        if resource.get(ACTIVE).is_none() {
            resource.put(&self.resource_type, ACTIVE, Value::Bool(true));
        }
        let manager = tx.connection().map(ToOwned::to_owned);
        replace::put(tx, &self.resource_type, present, resource, self.rules, manager.as_deref())
    }
}

/// An id that was never given before.
pub(crate) fn new_id(now: Timestamp) -> ResourceId {
    ID_ORDER.with(|order| ResourceId::generate(order, now))
}

thread_local! {
    /// Keeps ids that one thread makes in one millisecond in order.
    static ID_ORDER: ContextV7 = const { ContextV7::new() };
}
