//! A data folder that is looked at and not altered: nothing is cut off, followed or rebuilt.
//!
//! sled writes to its files as soon as it is opened, so it opens a copy of them in a temporary folder.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;

use super::check::{self, Check};
use super::engine::Engine;
use super::folder::DataFolder;
use super::snapshots::Snapshots;
use super::{Read, StoreError};
use crate::log::ReadLog;
use crate::log::local::LogFiles;

/// A data folder that no server uses.
pub struct Inspection {
    engine: Engine,
    /// Where the copy of the database is; removed after it is closed.
    _copy: TempDir,
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
            Ok((log, torn)) => {
                let mut journal = check::journal(&log);
                if torn > 0 {
                    journal.note += &format!(
                        "; the last {torn} bytes belong to an unfinished write that was never acknowledged"
                    );
                }
                checks.push(journal);
                checks.push(check::snapshots(&Snapshots::of(data), &log));
                database.checked = 1;
                let opened = open(data, cache_mib, &log, &mut database);
                checks.push(database);
                match opened {
                    Some((engine, copy)) => {
                        Ok(Self { engine, _copy: copy, checks, _folder: folder })
                    }
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

/// Opens a copy of the database, and compares what it says of itself with the journal.
fn open(
    data: &Path,
    cache_mib: u32,
    log: &dyn ReadLog,
    check: &mut Check,
) -> Option<(Engine, TempDir)> {
    let state = data.join("state");
    if !state.exists() {
        check.fault("no database; the next start rebuilds it");
        return None;
    }
    let copy = match copy_to_temporary(&state) {
        Ok(copy) => copy,
        Err(error) => {
            check.fault(format!(
                "not checked: can't copy it to {}: {error}; set TMPDIR to a directory with enough space",
                std::env::temp_dir().display()
            ));
            return None;
        }
    };
    let opened = Engine::open(copy.path(), cache_mib).and_then(|engine| {
        let applied = engine.applied()?;
        Ok((engine, applied))
    });
    let (engine, applied) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            check.fault(format!("{error}; the next start sets it aside and rebuilds it"));
            return None;
        }
    };
    let end = log.head().sequence;
    match applied {
        None if end == 0 => {}
        None => check.fault("it is empty; the next start rebuilds it"),
        Some((identity, _)) if identity != log.identity() => {
            check.fault("it belongs to another journal; the next start sets it aside and rebuilds it");
        }
        Some((_, applied)) if applied > end => check.fault(format!(
            "it is at change {applied}, but the journal ends with {end}: acknowledged changes are missing; put the \
             journal back, or restore a backup"
        )),
        Some((_, applied)) if applied < end => {
            check.note = format!("it is at change {applied}; the next start brings it to {end}");
        }
        Some((_, applied)) => check.note = format!("it is at change {applied}"),
    }
    Some((engine, copy))
}

/// Copies the files of a folder to a new one that only this user may enter, and that is removed when
/// dropped.
pub(super) fn copy_to_temporary(folder: &Path) -> io::Result<TempDir> {
    let copy = tempfile::Builder::new().prefix("scimd-verify-").tempdir()?;
    copy_files(folder, copy.path())?;
    Ok(copy)
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
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
