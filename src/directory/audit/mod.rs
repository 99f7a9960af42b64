//! TODO-DOC audit

pub(crate) mod details;
