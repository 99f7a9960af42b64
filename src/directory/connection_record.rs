//! The command that records that an operator has changed a connection of the configuration.

use serde_json::{Map, Value};

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};

/// Records how the settings of a connection have changed in the configuration.
pub struct RecordConnectionChange {
    /// The name of the connection.
    pub name: String,
    /// The settings before; `None` if it is new.
    pub before: Option<Map<String, Value>>,
    /// The settings after; `None` if it was removed.
    pub after: Option<Map<String, Value>>,
}

impl Command for RecordConnectionChange {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let verb = match (&self.before, &self.after) {
            (None, _) => Verb::Created,
            (Some(_), Some(_)) => Verb::Changed,
            (Some(_), None) => Verb::Deleted,
        };
        let nothing = Map::new();
        let (before, after) =
            (self.before.as_ref().unwrap_or(&nothing), self.after.as_ref().unwrap_or(&nothing));
        let removed = before.keys().filter(|key| !after.contains_key(*key));
        for key in after.keys().chain(removed) {
            tx.details().value_changed(key, before.get(key), after.get(key));
        }
        let (kind, subject) = ("connection".to_owned(), self.name.clone());
        tx.record(Event { kind, verb, subject });
        Ok(())
    }
}
