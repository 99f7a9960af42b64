//! TODO-DOC audit

pub(crate) mod denied;
pub(crate) mod details;
pub(crate) mod query;
