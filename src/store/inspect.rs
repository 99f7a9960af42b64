//! A data folder that is looked at and not altered: nothing is cut off, followed or rebuilt.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::check::{self, Check};
use super::engine::Engine;
use super::folder::DataFolder;
use super::snapshots::Snapshots;
use super::{Read, StoreError};
use crate::log::local::LogFiles;

/// A data folder that no server uses.
pub struct Inspection {
    engine: Engine,
    checks: Vec<Check>,
    _folder: DataFolder,
}

impl Inspection {
    /// Opens the database of a folder and checks what else is in it. Without a database that opens
    /// there are only the checks.
    ///
    /// # Errors
    ///
    /// The checks, if the database can't be opened.
    pub fn open(folder: DataFolder, cache_mib: u32) -> Result<Self, Vec<Check>> {
        let data = folder.path();
        let mut checks = Vec::new();
        let mut database = Check::new("database");
        match LogFiles::inspect(&data.join("journal")) {
            Ok((history, torn)) => {
                let mut journal = check::journal(&history);
                if torn > 0 {
                    journal.note += &format!(
                        "; {torn} bytes behind them are of a write that was never acknowledged"
                    );
                }
                checks.push(journal);
                checks.push(check::snapshots(&Snapshots::of(data), &history));
                database.checked = 1;
                let opened = open(data, cache_mib, &history, &mut database);
                checks.push(database);
                match opened {
                    Some(engine) => Ok(Self { engine, checks, _folder: folder }),
                    None => Err(checks),
                }
            }
            Err(error) => {
                let mut journal = Check::new("journal");
                journal.error(&error);
                Err(vec![journal])
            }
        }
    }

    /// What was checked besides the state.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// Opens the database, and compares what it says of itself with the journal.
fn open(
    data: &std::path::Path,
    cache_mib: u32,
    history: &LogFiles,
    check: &mut Check,
) -> Option<Engine> {
    let state = data.join("state");
    if !state.exists() {
        check.fault("there is no database; a start rebuilds it");
        return None;
    }
    let opened = Engine::open(&state, cache_mib).and_then(|engine| {
        let applied = engine.applied()?;
        Ok((engine, applied))
    });
    let (engine, applied) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            check.fault(format!("{error}; a start sets it aside and rebuilds it"));
            return None;
        }
    };
    let end = history.end().sequence;
    match applied {
        None if end == 0 => {}
        None => check.fault("it is empty; a start rebuilds it"),
        Some((identity, _)) if identity != history.identity() => {
            check.fault("it belongs to another journal; a start sets it aside and rebuilds it");
        }
        Some((_, applied)) if applied > end => check.fault(format!(
            "it has seen change {applied}, and the journal ends with {end}: acknowledged changes are \
             missing; put back the journal, or restore a backup"
        )),
        Some((_, applied)) if applied < end => {
            check.note = format!("it is at change {applied}; a start brings it to {end}");
        }
        Some((_, applied)) => check.note = format!("it is at change {applied}"),
    }
    Some(engine)
}

impl Read for Inspection {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.engine.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.engine.scan(prefix, after, visit)
    }
}
