//! Create (RFC 7644, section 3.3).

use std::sync::Arc;

use jiff::Timestamp;
use uuid::ContextV7;

use super::error::DirectoryError;
use super::member;
use super::resource::{self, Stored};
use super::work::{Command, Work};
use crate::config::UnknownMembers;
use crate::event::Verb;
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::schema::ResourceType;

/// Creates a resource and answers it as stored.
pub struct Create {
    /// Of which type.
    pub resource_type: Arc<ResourceType>,
    /// Its id, if others refer to it already; else a new one.
    pub id: Option<ResourceId>,
    /// With which attributes.
    pub resource: Resource,
    /// What becomes of members that are not there.
    pub unknown_members: UnknownMembers,
}

impl Command for Create {
    type Output = Stored;

    /// # Errors
    ///
    /// `Invalid` with `uniqueness` if another resource holds a value that must be unique, or with
    /// `invalidValue` if the resource is too large or names a member that can't be one.
    fn run(&self, work: &mut Work<'_>) -> Result<Stored, DirectoryError> {
        let resource_type = &self.resource_type;
        let now = work.now();
        let id = self.id.unwrap_or_else(|| new_id(now));
        let mut resource = self.resource.clone();
        let members = resource.take_members(resource_type);
        resource.complete(resource_type, None);
        let meta = Meta { created: now, last_modified: now, version: Version::FIRST };
        let stored = resource::write(work, resource_type, id, &meta, &resource, None)?;
        resource::count(work, resource_type, |count| count.saturating_add(1))?;
        let members = member::named(&members, self.unknown_members)?;
        member::add(work, id, &members, self.unknown_members)?;
        work.record(resource::event(resource_type, Verb::Created, id));
        Ok(stored)
    }
}

/// An id that was never given before.
pub(super) fn new_id(now: Timestamp) -> ResourceId {
    ID_ORDER.with(|order| ResourceId::generate(order, now))
}

thread_local! {
    /// Keeps ids that one thread makes in one millisecond in order.
    static ID_ORDER: ContextV7 = const { ContextV7::new() };
}
