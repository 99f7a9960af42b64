//! The built-in schemas, as data.

pub mod common;
pub mod user;
