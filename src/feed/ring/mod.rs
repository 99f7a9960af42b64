//! The files of the feed: finished events in order, as consumers get them.
//!
//! ```text
//! file   = "scimdfd1" | feed id [8] | sequence that it follows u64 | CRC-32C of these u32 | record*
//! record = length of body u32 | CRC-32C of body u32 | body
//! body   = sequence u64 | index u32 | type u8 | connection: length u8, name | changed: length u32, paths, one a line
//!        | event (JSON)
//!        | sequence u64 | 0xffffffff | 0 | hash of the frame [32]            behind all events of a change
//! ```
//!
//! Numbers are little-endian. A file holds the events of 16,384 changes, whatever they are: so a feed that is rebuilt has
//! the same files. A file is synced once, when the next one begins; what a loss of power takes from the last file is
//! derived again.

mod format;
mod index;
mod page;
mod read;
mod recent;
mod write;

pub(super) use format::{ChangeEnd, RingRecord};
pub(super) use index::RingIndex;
pub(super) use page::Page;
pub(super) use read::read;
pub(super) use write::{RingEvent, RingWriter, open_read_only};
