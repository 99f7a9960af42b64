//! A backup of what the database holds, where the journal is damaged and nothing can be served.
//!
//! The data folder stays as it is: sled opens a copy of the database, as it writes to its files.

use std::fs::File;
use std::io::Seek as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::backup::{self, VerifiedBackup};
use super::check;
use super::engine::Engine;
use super::folder::DataFolder;
use super::inspect::copy_to_temporary;
use super::snapshots::copy_to;
use super::{Read, StoreError, snapshot};
use crate::log::local::LogFiles;
use crate::log::{ChainReport, Frame, LogError, Position, ReadLog};

/// The database of a data folder whose journal can't be read, which no server uses.
pub struct RecoveredDatabase {
    engine: Engine,
    end: DatabaseEnd,
    /// Where the copy of the database is; removed after it is closed.
    copy: TempDir,
    _folder: DataFolder,
}

impl RecoveredDatabase {
    /// Opens a copy of the database of a folder.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if the journal is whole, so that there is nothing to recover, or if the database
    /// is missing or empty; [`StoreError::Engine`] if it can't be opened.
    pub fn open(folder: DataFolder, cache_mib: u32) -> Result<Self, StoreError> {
        let data = folder.path();
        let shown = data.display();
        let is_whole = LogFiles::inspect(&data.join("journal"))
            .is_ok_and(|(log, _)| check::journal(&log).faults == 0);
        if is_whole {
            return Err(StoreError::Folder(format!(
                "nothing to recover: the journal in {shown} is intact; start scimd, or run `scimd backup`"
            )));
        }
        let state = data.join("state");
        if !state.exists() {
            return Err(StoreError::Folder(format!(
                "there is no database in {shown}; restore the newest backup"
            )));
        }
        let copy = copy_to_temporary(&state).map_err(|error| {
            StoreError::Folder(format!(
                "can't copy the database to {}: {error}; set TMPDIR to a directory with enough space",
                std::env::temp_dir().display()
            ))
        })?;
        let engine = Engine::open(copy.path(), cache_mib)?;
        let Some((identity, sequence)) = engine.applied()? else {
            return Err(StoreError::Folder(format!(
                "the database in {shown} is empty; restore the newest backup"
            )));
        };
        let end = DatabaseEnd::new(identity, sequence);
        Ok(Self { engine, end, copy, _folder: folder })
    }

    /// The state that it holds.
    pub fn state(&self) -> &dyn Read {
        &self.engine
    }

    /// The last change that it holds.
    pub fn sequence(&self) -> u64 {
        self.end.position.sequence
    }

    /// Writes it as a backup into a new file, opened for reading and writing, and reads that back.
    ///
    /// # Errors
    ///
    /// As [`backup::check`]; a record is damaged.
    pub fn save(
        &self,
        (mut file, path): (File, &Path),
        now: Timestamp,
    ) -> Result<VerifiedBackup, StoreError> {
        let unfinished = self.copy.path().join("recovered");
        snapshot::take(&self.engine, &self.end, self.sequence(), now, &unfinished)?;
        copy_to(&unfinished, u64::MAX, &mut file, path)?;
        file.rewind().map_err(StoreError::file("read", path))?;
        backup::check_open(file, path)
    }
}

/// The end of a journal that can't be read. The hash of the last change is known to the journal alone, so that the
/// chain of the recovered data begins with one of its own.
struct DatabaseEnd {
    identity: [u8; 16],
    position: Position,
}

impl DatabaseEnd {
    fn new(identity: [u8; 16], sequence: u64) -> Self {
        let hash = Sha256::new()
            .chain_update(b"recovered from the database")
            .chain_update(identity)
            .chain_update(sequence.to_le_bytes());
        Self { identity, position: Position { sequence, hash: hash.finalize().into() } }
    }
}

impl ReadLog for DatabaseEnd {
    fn identity(&self) -> [u8; 16] {
        self.identity
    }

    fn head(&self) -> Position {
        self.position
    }

    fn start(&self) -> Result<Position, LogError> {
        Ok(self.position)
    }

    fn read(
        &self,
        _: u64,
        _: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        Ok(())
    }

    fn before(&self, _: Timestamp) -> Result<u64, LogError> {
        Ok(self.position.sequence)
    }

    fn last_before(&self, _: Timestamp) -> Result<Option<u64>, LogError> {
        Ok(None)
    }

    fn before_part_of(&self, _: u64) -> Result<u64, LogError> {
        Ok(self.position.sequence)
    }

    fn verify(&self, _: &[Position], _: &mut dyn FnMut(LogError)) -> Result<ChainReport, LogError> {
        Ok(ChainReport { begin: self.position, end: self.position, ..ChainReport::default() })
    }
}
