//! A command that shows that the writer is alive.

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};

/// Changes nothing.
pub(crate) struct Ping;

impl Command for Ping {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, _tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        Ok(())
    }
}
