//! Create (RFC 7644, section 3.3).

use std::sync::Arc;

use uuid::ContextV7;

use super::error::DirectoryError;
use super::resource::{self, Stored};
use super::work::{Command, Work};
use crate::event::Verb;
use crate::scim::resource::{Meta, Resource, ResourceId, Version};
use crate::scim::schema::ResourceType;

/// Creates a resource and answers it as stored.
pub struct Create {
    /// Of which type.
    pub resource_type: Arc<ResourceType>,
    /// With which attributes.
    pub resource: Resource,
}

impl Command for Create {
    type Output = Stored;

    /// # Errors
    ///
    /// `Invalid` with `uniqueness` if another resource holds a value that must be unique, or with
    /// `invalidValue` if the resource is too large.
    fn run(&self, work: &mut Work<'_>) -> Result<Stored, DirectoryError> {
        let resource_type = &self.resource_type;
        let now = work.now();
        let id = ID_ORDER.with(|order| ResourceId::generate(order, now));
        let mut resource = self.resource.clone();
        resource.complete(resource_type, None);
        let meta = Meta { created: now, last_modified: now, version: Version::FIRST };
        let stored = resource::write(work, resource_type, id, &meta, &resource, None)?;
        resource::count(work, resource_type, |count| count.saturating_add(1))?;
        work.record(resource::event(resource_type, Verb::Created, id));
        Ok(stored)
    }
}

thread_local! {
    /// Keeps ids of one millisecond in order; the writer is one thread.
    static ID_ORDER: ContextV7 = const { ContextV7::new() };
}
