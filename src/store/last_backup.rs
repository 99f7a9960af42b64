//! The note of the last backup, in the data directory: when, where, and what was checked of it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::file;

/// The file.
pub(super) const FILE: &str = "last-backup.json";

/// The last backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastBackup {
    /// When it was written.
    pub time: Timestamp,
    /// The file, as it was then.
    pub file: PathBuf,
    /// The last change in it.
    pub change: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it was read back whole after it was written.
    pub verified: bool,
    /// Whether it is signed.
    pub signed: bool,
}

impl LastBackup {
    /// Reads the note; `None` if there is none that can be read.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&file::read_itself(&data.join(FILE)).ok()?.bytes).ok()
    }

    /// Writes the note, as the owner of the data directory.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let folder = fs::metadata(data)?;
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        file::replace(&data.join(FILE), Some(&text), 0o600, (folder.uid(), folder.gid()))
    }
}
