//! The built-in schemas, as data.

pub mod access;
pub mod common;
pub mod discovery;
pub mod group;
pub mod offer;
pub mod user;
