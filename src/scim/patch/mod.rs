//! PATCH: changing parts of a resource (RFC 7644, section 3.5.2).
//!
//! | file | what it does |
//! | --- | --- |
//! | `request` | a body becomes a flat list of operations, whatever dialect it is written in |
//! | `target` | what one operation changes |
//! | `apply` | one operation on one resource |
//! | `change` | what an operation makes of one value |
//! | `elements` | what an operation makes of the elements of a multi-valued attribute |
//! | `finish` | what holds once all operations are done |
//!
//! A request is all or nothing: operations work on a copy, and the copy counts only if all of them
//! succeed and [`finish()`] agrees.

mod apply;
mod change;
#[cfg(test)]
mod dialects;
mod elements;
mod finish;
#[cfg(test)]
mod laws;
mod request;
mod target;

use serde_json::Value;

use super::error::ScimError;
use super::resource::Resource;
use super::schema::ResourceType;

pub use apply::apply;
pub use finish::finish;
pub use target::{Definition, Target};

/// How many operations a request may have.
pub const MAX_OPERATIONS: usize = 1_000;
/// How many comparisons the filters of all paths of a request may make together.
pub const MAX_TERMS: usize = 2_000;
/// How many elements an operation may leave in a multi-valued attribute, if it adds to them.
pub const MAX_ELEMENTS: usize = 5_000;
/// How many bytes an operation may write by putting one value into several elements.
pub const MAX_COPIED_BYTES: usize = 256 * 1024;

/// What an operation does to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds values, or sets one.
    Add,
    /// Puts values in the place of others.
    Replace,
    /// Takes values away.
    Remove,
}

impl Op {
    /// The keyword on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// One change of one attribute or sub-attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchOperation {
    /// What it does.
    pub op: Op,
    /// To what.
    pub target: Target,
    /// With what, as it was sent; always there for add and replace.
    pub value: Option<Value>,
    /// Whether a path names the target; otherwise a member of an object does.
    pub explicit: bool,
}

/// A PATCH body, understood for one resource type.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchRequest {
    /// Every change, in order.
    pub operations: Vec<PatchOperation>,
    /// Names that no schema of the resource type knows; they were left out.
    pub unknown: Vec<String>,
}

impl PatchRequest {
    /// The resource after all operations; the one that is given stays as it is.
    ///
    /// # Errors
    ///
    /// Those of [`apply()`] and [`finish()`].
    pub fn apply_all(
        &self,
        resource_type: &ResourceType,
        resource: &Resource,
    ) -> Result<Resource, ScimError> {
        let mut patched = resource.clone();
        for operation in &self.operations {
            apply(resource_type, &mut patched, operation)?;
        }
        finish(resource_type, resource, &mut patched)?;
        Ok(patched)
    }
}
