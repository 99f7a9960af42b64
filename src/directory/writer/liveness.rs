//! A sign of life of the writer.

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::directory::{Directory, Pending};
use crate::event::Actor;

impl Directory {
    /// Answers once the writer has come to it: the writer is neither stuck nor gone. It changes nothing, so a
    /// disk that is full is no reason for silence.
    pub fn ping_writer(&self) -> Pending<()> {
        self.submit(Actor::System, Ping)
    }
}

struct Ping;

impl Command for Ping {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, _tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        Ok(())
    }
}
