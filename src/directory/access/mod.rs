//! TODO-DOC access

pub(crate) mod effective;
