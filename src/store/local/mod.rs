//! State in the data folder: the journal acknowledges, the database keeps, memory answers questions.
//!
//! ```text
//! data folder/
//!   lock        held while a process uses the folder
//!   journal/    every change; the truth
//!   snapshots/  the state as it was at some changes
//!   state/      the database; can be rebuilt from journal and snapshots at any time
//!   rebuild     there if a damaged record was met: the next start rebuilds the database
//!   compact     there if the next start shall compact the database
//! ```

mod maintenance;
mod open;
mod store;

pub use open::{StoreLimits, UnattachedState, mark_for_compaction, open};
pub use store::LocalStore;
