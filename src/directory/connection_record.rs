//! The command that records that an operator has changed a connection of the configuration; where nodes share the log, with
//! the file that all of them write.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::{Read, StoreError, keys};

/// The kind of the events.
pub(crate) const KIND: &str = "connection";

/// The file of a connection in `conf.d`, as all nodes are to have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFile {
    /// How often the connection was changed.
    pub number: u64,
    /// Its text; `None` without the file.
    pub text: Option<String>,
}

/// Records how the settings of a connection have changed in the configuration.
pub struct RecordConnectionChange {
    /// The name of the connection.
    pub name: String,
    /// The settings before; `None` if it is new.
    pub before: Option<Map<String, Value>>,
    /// The settings after; `None` if it was removed.
    pub after: Option<Map<String, Value>>,
    /// The file for all nodes, with the number that follows that of the file that was changed; `None` where the log is
    /// not shared and was not when the file was changed before.
    pub file: Option<ConnectionFile>,
}

impl Command for RecordConnectionChange {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Unfit` if another node was faster.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        if let Some(file) = &self.file {
            let present = read(tx, &self.name)?.unwrap_or_default().number;
            if present + 1 != file.number {
                return Err(DirectoryError::Unfit(changed_elsewhere(&self.name)));
            }
            let json = serde_json::to_vec(file).map_err(|_| damaged(&self.name))?;
            tx.put(keys::connection(&self.name), json);
        }
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
        let (kind, subject) = (KIND.to_owned(), self.name.clone());
        tx.record(Event { kind, verb, subject });
        Ok(())
    }
}

/// Why a change of a file is refused that is no longer the newest.
pub(crate) fn changed_elsewhere(name: &str) -> String {
    format!("another node has just changed connection {name}; try again")
}

fn damaged(name: &str) -> StoreError {
    StoreError::Damaged { key: format!("connection {name}") }
}

fn read(state: &dyn Read, name: &str) -> Result<Option<ConnectionFile>, StoreError> {
    let Some(stored) = state.get(&keys::connection(name))? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&stored).map_err(|_| damaged(name))?))
}

/// The files of connections that all nodes are to have, by name.
pub(crate) fn files(state: &dyn Read) -> Result<Vec<(String, ConnectionFile)>, StoreError> {
    let mut names = Vec::new();
    state.scan(keys::CONNECTION, None, &mut |key, _| {
        let name = key.strip_prefix(keys::CONNECTION).unwrap_or_default();
        names.push(String::from_utf8_lossy(name).into_owned());
        ControlFlow::Continue(())
    })?;
    let file = |name: String| Ok((name.clone(), read(state, &name)?.unwrap_or_default()));
    names.into_iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::directory::{Directory, LocalSettings};
    use crate::event::Actor;
    use crate::settings::SharedSettings;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};

    #[test]
    fn of_two_changes_that_begin_from_the_same_file_one_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let store = LocalStore::open(data, limits, [7; 16], jiff::Timestamp::UNIX_EPOCH).unwrap();
        let (log, local) = (store.log(), LocalSettings::for_tests(Clock::System));
        let shared = SharedSettings::default();
        let directory = Directory::open_as_saved(log, Arc::new(store), &shared, local).unwrap();
        let record = |file: Option<ConnectionFile>| {
            let (name, before, after) = ("okta".to_owned(), None, Some(Map::new()));
            let record = RecordConnectionChange { name, before, after, file };
            directory.submit(Actor::System, record).wait()
        };
        let file = |number, text: Option<&str>| {
            Some(ConnectionFile { number, text: text.map(ToOwned::to_owned) })
        };
        record(None).unwrap();
        assert!(directory.connection_files().unwrap().is_empty(), "the log is not shared");
        record(file(1, Some("a"))).unwrap();
        for late in [0, 1, 3] {
            let refused = record(file(late, Some("b"))).unwrap_err();
            assert!(refused.to_string().contains("another node"), "{refused}");
        }
        record(file(2, None)).unwrap();
        let files = directory.connection_files().unwrap();
        assert_eq!(files, [("okta".to_owned(), file(2, None).unwrap())]);
    }
}
