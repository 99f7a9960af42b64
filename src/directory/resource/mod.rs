//! TODO-DOC resource

pub(crate) mod create;
pub(crate) mod replace;
