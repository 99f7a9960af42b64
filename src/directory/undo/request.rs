//! The request for an undo.

use jiff::Timestamp;

use crate::directory::access::migrate::UnknownAccess;

/// A request to undo changes.
#[derive(Clone, Debug)]
pub struct Undo {
    /// The moment to go back to.
    pub since: Timestamp,
    /// Undo only what this connection, and no other actor, has changed since.
    pub connection: Option<String>,
    /// What to do about access that accounts had then and the catalogue no longer has.
    pub unknown: UnknownAccess,
    /// Whether to report only what would be done.
    pub dry_run: bool,
}
