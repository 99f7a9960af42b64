//! TODO-DOC resource

pub(crate) mod create;
