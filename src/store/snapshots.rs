//! The snapshots in the data folder, named by the change whose state they hold.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::snapshot::{self, Snapshot, VerifiedSnapshot};
use super::sync::sync_folder;
use super::{Read, StoreError};
use crate::log::{LogError, Position, ReadLog};

const SUFFIX: &str = "snapshot";
const UNFINISHED: &str = "new.unfinished";

/// The folder of snapshots.
pub(super) struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// The snapshots of a data folder; there need not be any.
    pub(super) fn of(data: &Path) -> Self {
        Self { folder: data.join("snapshots") }
    }

    /// Where the snapshot of that name is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Every snapshot, newest first. Those that do not say what they are come as errors, after the
    /// others.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if the folder can't be read.
    pub(super) fn list(&self) -> Result<(Vec<Snapshot>, Vec<StoreError>), StoreError> {
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((found, damaged)),
            entries => entries.map_err(StoreError::file("read", &self.folder))?,
        };
        for entry in entries {
            let path = entry.map_err(StoreError::file("read", &self.folder))?.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                match snapshot::outline(&path) {
                    Ok(snapshot) => found.push(snapshot),
                    Err(error) => damaged.push(error),
                }
            }
        }
        found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.position.sequence));
        Ok((found, damaged))
    }

    /// Takes a snapshot and reads it back.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then the snapshots are those that were there before.
    pub(super) fn take(
        &self,
        state: &dyn Read,
        log: &dyn ReadLog,
        applied: u64,
        now: Timestamp,
    ) -> Result<VerifiedSnapshot, StoreError> {
        self.create()?;
        let unfinished = self.path(UNFINISHED);
        let position = snapshot::take(state, log, applied, now, &unfinished)?;
        self.finish(&unfinished, position.sequence)
    }

    /// Takes over a snapshot from elsewhere, without a signature.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then the snapshots are those that were there before.
    pub(super) fn adopt(&self, from: &VerifiedSnapshot) -> Result<VerifiedSnapshot, StoreError> {
        self.create()?;
        let unfinished = self.path(UNFINISHED);
        copy(&from.snapshot.path, from.bytes, &unfinished)?;
        self.finish(&unfinished, from.snapshot.position.sequence)
    }

    /// Takes over a snapshot of a log that `write` writes into a file, with its position; `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if it is of another log or position; then the snapshots are those that were there before.
    pub(super) fn receive(
        &self,
        identity: [u8; 16],
        write: impl FnOnce(&mut File, &Path) -> Result<Option<Position>, LogError>,
    ) -> Result<Option<VerifiedSnapshot>, StoreError> {
        self.create()?;
        let unfinished = self.path(UNFINISHED);
        let mut options = File::options();
        let file = options.create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
        let mut file = file.map_err(StoreError::file("create", &unfinished))?;
        let Some(position) = write(&mut file, &unfinished)? else {
            fs::remove_file(&unfinished).map_err(StoreError::file("remove", &unfinished))?;
            return Ok(None);
        };
        let found = snapshot::outline(&unfinished)?;
        if (found.identity, found.position) != (identity, position) {
            let reason = "it is of another log or change".to_owned();
            return Err(StoreError::Snapshot { path: unfinished, reason });
        }
        self.finish(&unfinished, position.sequence).map(Some)
    }

    fn create(&self) -> Result<(), StoreError> {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        created.map_err(StoreError::file("create", &self.folder))?;
        self.folder.parent().map_or(Ok(()), sync_folder)
    }

    /// Reads a new snapshot to its end, and only then lets it have its name.
    fn finish(&self, unfinished: &Path, sequence: u64) -> Result<VerifiedSnapshot, StoreError> {
        let whole = snapshot::load(unfinished, |_| Ok(()))?;
        let path = self.path(&format!("{sequence:020}.{SUFFIX}"));
        fs::rename(unfinished, &path).map_err(StoreError::file("create", &path))?;
        sync_folder(&self.folder)?;
        Ok(VerifiedSnapshot { snapshot: Snapshot { path, ..whole.snapshot }, ..whole })
    }

    /// Removes all but the newest `count`; answers the oldest that is left.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    pub(super) fn retain(&self, count: usize) -> Result<Option<Snapshot>, StoreError> {
        let (mut snapshots, _) = self.list()?;
        for old in snapshots.drain(count.min(snapshots.len())..) {
            fs::remove_file(&old.path).map_err(StoreError::file("remove", &old.path))?;
        }
        sync_folder(&self.folder)?;
        Ok(snapshots.pop())
    }
}

/// Copies the first bytes of a file to one that only its owner may read, durably.
///
/// # Errors
///
/// [`StoreError::File`].
pub(super) fn copy(from: &Path, bytes: u64, to: &Path) -> Result<(), StoreError> {
    let mut options = File::options();
    let target = options.create(true).truncate(true).write(true).mode(0o600).open(to);
    copy_to(from, bytes, &mut target.map_err(StoreError::file("create", to))?, to)
}

/// Copies the first bytes of a file into an open one, durably; `to` names it in errors.
///
/// # Errors
///
/// [`StoreError::File`].
pub(super) fn copy_to(
    from: &Path,
    bytes: u64,
    target: &mut File,
    to: &Path,
) -> Result<(), StoreError> {
    let source = File::open(from).map_err(StoreError::file("open", from))?;
    io::copy(&mut source.take(bytes), target)
        .and_then(|_| target.sync_all())
        .map_err(StoreError::file("write", to))
}
