//! The verbs on resources: create, replace, patch, delete, and bulk.

pub(crate) mod bulk;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod import;
pub(crate) mod operator_change;
pub(crate) mod patch;
pub(crate) mod replace;
