//! Replace (RFC 7644, section 3.5.1).

use std::sync::Arc;

use super::error::DirectoryError;
use super::resource::{self, Stored};
use super::work::{Command, Work};
use crate::event::Verb;
use crate::scim::resource::{Meta, Resource, Version};
use crate::scim::schema::ResourceType;
use crate::scim::validate::check_immutable;
use crate::store::keys;

/// Puts a resource in the place of another, and answers it as stored.
///
/// What the client leaves out is cleared, but for attributes that an omission keeps. A replacement
/// that changes nothing leaves version and `lastModified` as they are.
pub struct Replace {
    /// Of which type.
    pub resource_type: Arc<ResourceType>,
    /// The id, as the client gave it.
    pub id: String,
    /// The versions that the client accepts; `None` for any.
    pub expected: Option<Vec<Version>>,
    /// With which attributes.
    pub resource: Resource,
}

impl Command for Replace {
    type Output = Stored;

    /// # Errors
    ///
    /// `NotFound`; `VersionMismatch`; `Invalid` with `mutability`, `uniqueness`, or `invalidValue` if
    /// the resource is too large.
    fn run(&self, work: &mut Work<'_>) -> Result<Stored, DirectoryError> {
        let resource_type = &self.resource_type;
        let id = resource::parse_id(resource_type, &self.id)?;
        let present = resource::find(work, resource_type, id)?;
        resource::check_version(self.expected.as_deref(), present.record.version)?;
        let previous = resource::attributes(resource_type, &present)?;
        check_immutable(resource_type, &previous, &self.resource)?;
        let mut replacement = self.resource.clone();
        replacement.complete(resource_type, Some(&previous));
        if replacement == previous {
            return Ok(present);
        }
        let old = resource::meta(resource_type, &present)?;
        let meta = Meta {
            last_modified: resource::not_before(work.now(), old.last_modified),
            version: old.version.next(),
            ..old
        };
        work.expect_version(keys::record(resource_type.tag, id), old.version);
        let stored =
            resource::write(work, resource_type, id, &meta, &replacement, Some(&previous))?;
        work.record(resource::event(resource_type, Verb::Replaced, id));
        Ok(stored)
    }
}
