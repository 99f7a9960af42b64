//! The command that records that the bodies of a connection's requests are kept for a while.

use jiff::Timestamp;
use serde_json::json;

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};

/// Records that an operator has the bodies of a connection kept. Keeping them is up to the caller.
pub struct RecordCapture {
    /// The connection.
    pub connection: String,
    /// When keeping them ends.
    pub until: Timestamp,
}

impl Command for RecordCapture {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        tx.details().value_changed("until", None, Some(&json!(self.until)));
        let subject = self.connection.clone();
        tx.record(Event { kind: "connection".to_owned(), verb: Verb::Captured, subject });
        Ok(())
    }
}
