//! Current state, which follows the log.
//!
//! Above this floor state is keys and values ([`keys`] says which). Nothing changes state but frames of
//! the log: [`Store::apply`] takes them once they are durable. State can always be rebuilt from the log
//! and its snapshots.
//!
//! [`local::LocalStore`] keeps state in the data folder: sled stores it, memory answers reads.

mod apply;
pub mod backup;
mod behind;
pub mod check;
mod database;
mod disk_space;
mod engine;
mod error;
pub mod folder;
pub mod follow;
pub mod inspect;
pub mod keys;
pub mod last_backup;
mod leaf;
mod leaves;
pub mod local;
pub mod maintenance;
mod memory;
pub mod overlay;
pub mod past_state;
pub mod point_in_time;
mod read;
pub mod read_only;
mod rebuild;
pub mod record;
pub mod recover;
pub mod signatures;
pub mod signing;
pub mod snapshot;
mod snapshots;
mod spare_files;
mod state;
pub mod stats;
mod sync;
pub mod used_assertions;
mod version;
mod watchdog;

pub use crate::log::Write;
pub use apply::Store;
pub use error::StoreError;
pub use read::Read;
pub use version::StateVersion;
