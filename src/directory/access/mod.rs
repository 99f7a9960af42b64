//! TODO-DOC access

pub(crate) mod effective;
pub(crate) mod migrate;
