//! PATCH: changing parts of a resource (RFC 7644, section 3.5.2).
//!
//! | file | what it does |
//! | --- | --- |
//! | `request` | the parser of bodies: any dialect becomes a flat list of operations |
//! | `target` | the target of an operation |
//! | `apply` | one operation on one resource |
//! | `change` | the effect of an operation on one value |
//! | `elements` | the effect of an operation on the elements of a multi-valued attribute |
//! | `list` | lists of elements: which are the same, which is primary, how many |
//! | `finish` | the checks after the last operation |
//!
//! A request is atomic: operations work on a copy, which replaces the resource only if all of them
//! and [`finish()`] succeed.

mod apply;
mod change;
#[cfg(test)]
mod dialects;
mod elements;
mod finish;
#[cfg(test)]
mod laws;
mod list;
mod request;
mod target;

use std::collections::HashMap;

use serde_json::Value;

use super::error::ScimError;
use super::json::rename_texts;
use super::resource::Resource;
use super::schema::ResourceType;
use super::schemas::user::ACTIVE;

pub use apply::apply;
pub use finish::finish;
pub use target::{Definition, Target};

/// The maximum number of operations in a request.
pub const MAX_OPERATIONS: usize = 1_000;
/// The maximum number of comparisons in the filters of all paths of a request.
pub const MAX_TERMS: usize = 2_000;
/// The maximum number of elements in a multi-valued attribute after an operation that adds some.
pub const MAX_ELEMENTS: usize = 5_000;
/// The maximum number of bytes that an operation may write by copying one value into several
/// elements.
pub const MAX_COPIED_BYTES: usize = 256 * 1024;

/// The `op` of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds values, or sets one.
    Add,
    /// Replaces values.
    Replace,
    /// Removes values.
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
    /// The kind of operation.
    pub op: Op,
    /// The target.
    pub target: Target,
    /// The value in the shape of its target; always present for add and replace.
    pub value: Option<Value>,
    /// Whether a path names the target, rather than a member of an object.
    pub explicit: bool,
}

impl PatchOperation {
    /// Whether it can only remove values, or closes an account: it sets `active` to false.
    pub fn takes_away(&self) -> bool {
        let Target { extension, attribute, .. } = &self.target;
        self.op == Op::Remove
            || extension.is_none() && attribute == ACTIVE && self.value == Some(Value::Bool(false))
    }
}

/// A PATCH body, parsed for one resource type.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchRequest {
    /// Every change, in order.
    pub operations: Vec<PatchOperation>,
    /// Every `id` that the body gives the resource and that counts.
    pub ids: Vec<Value>,
    /// Ignored names, which no schema of the resource type defines.
    pub unknown: Vec<String>,
}

impl PatchRequest {
    /// Returns the resource after all operations, leaving the given one unchanged.
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

    /// Replaces the ids that stand in a table, in values and in paths.
    pub fn rename_ids(&mut self, ids: &HashMap<String, String>) {
        for operation in &mut self.operations {
            operation.target.rename_ids(ids);
            if let Some(value) = &mut operation.value {
                rename_texts(value, ids);
            }
        }
    }
}
