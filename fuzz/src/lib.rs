//! What reads the words of strangers, for the fuzz targets.
//!
//! The modules are scimd's own files, compiled here by path and not through scimd's crate: so the
//! cryptography, the database and the network, which no target touches, need not be built with
//! instrumentation, and what is private to a module can be reached without making it public there.

#![allow(dead_code, reason = "scimd uses more of these modules than the targets do")]

#[path = "../../src/access/mod.rs"]
pub mod access;
#[path = "../../src/event/mod.rs"]
pub mod event;
#[path = "../../src/connection/flat/mod.rs"]
pub mod flat;
pub mod journal;
#[path = "../../src/scim/mod.rs"]
pub mod scim;
#[path = "../../src/text/mod.rs"]
pub mod text;
mod world;

pub use world::{Kind, Sample, served, world};
