//! Backups: a snapshot that leaves the data folder, and comes back as the beginning of another.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::Path;

use jiff::Timestamp;

use super::folder::{self, DataFolder};
use super::signing::{SigningKey, VerifyingKey};
use super::snapshot::{self, BackupSignature, VerifiedSnapshot};
use super::snapshots::{self, Snapshots};
use super::sync::sync_folder;
use super::{StoreError, keys};
use crate::log::local::LocalLog;

/// A backup that was read to its end and is whole.
#[derive(Clone, Debug)]
pub struct VerifiedBackup {
    /// The file.
    pub whole: VerifiedSnapshot,
    /// How many resources of each type are in it, by the byte of the type.
    pub counts: BTreeMap<u8, u64>,
}

/// Reads a backup to its end.
///
/// # Errors
///
/// [`StoreError::Snapshot`] if it is not what was written, [`StoreError::File`] if it can't be read.
pub fn check(file: &Path) -> Result<VerifiedBackup, StoreError> {
    check_open(File::open(file).map_err(StoreError::file("open", file))?, file)
}

pub(super) fn check_open(file: File, path: &Path) -> Result<VerifiedBackup, StoreError> {
    let mut counts = BTreeMap::new();
    let whole = snapshot::load_from(file, path, |writes| {
        for write in writes {
            let Some(tag) = keys::counted(&write.key) else { continue };
            let count = write.value.and_then(|value| value.as_ref().try_into().ok());
            counts.insert(tag, count.map_or(0, u64::from_le_bytes));
        }
        Ok(())
    })?;
    Ok(VerifiedBackup { whole, counts })
}

/// Copies a snapshot of a data folder, whose SHA-256 is known, into a new file, opened for reading and writing; signs it
/// if the folder has a key, and reads it back. `path` is where that file was created: it is not opened again, as
/// another user might have put something else there.
///
/// # Errors
///
/// As [`check`]; the key can't be used.
pub fn save(
    data: &Path,
    name: &str,
    sha256: &str,
    (mut file, path): (File, &Path),
    now: Timestamp,
) -> Result<VerifiedBackup, StoreError> {
    let from = Snapshots::of(data).path(name);
    snapshots::copy_to(&from, u64::MAX, &mut file, path)?;
    if let Some(key) = SigningKey::find(data)? {
        let position = snapshot::outline(&from)?.position;
        let signature = BackupSignature::new(&key, position, sha256, now)?.encode();
        let written = file.write_all(&signature).and_then(|()| file.sync_all());
        written.map_err(StoreError::file("write", path))?;
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent)?,
        _ => sync_folder(Path::new("."))?,
    }
    file.rewind().map_err(StoreError::file("read", path))?;
    check_open(file, path)
}

/// Restores a backup into an empty data folder.
///
/// The journal continues the numbers and the chain of the one that the backup was taken from, under
/// an identity of its own: nothing that knows what came after the backup fits it.
///
/// # Errors
///
/// The backup is not whole, the given key has not signed it, or the folder is not empty: then nothing was
/// touched. The backup could not be put there: then the folder is empty again.
pub fn restore(
    file: &Path,
    data: &Path,
    identity: [u8; 16],
    key: Option<&VerifyingKey>,
) -> Result<VerifiedBackup, StoreError> {
    let backup = check(file)?;
    if let Some(key) = key {
        insist_on_signature(&backup.whole, key)?;
    }
    insist_on_empty(data)?;
    let folder = DataFolder::open(data)?;
    insist_on_empty(folder.path())?;
    let restored = fill(&folder, &backup, file, identity);
    if restored.is_err() {
        empty(&folder)?;
    }
    restored.map(|()| backup)
}

/// Removes what [`restore`] has put into a data folder that no process uses.
///
/// # Errors
///
/// [`StoreError::File`], or that the folder is in use.
pub fn discard(data: &Path) -> Result<(), StoreError> {
    empty(&DataFolder::open(data)?)
}

fn empty(folder: &DataFolder) -> Result<(), StoreError> {
    let data = folder.path();
    while let Some(name) = folder::data_in(data)? {
        let path = data.join(name);
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(StoreError::file("remove", &path))?;
    }
    Ok(())
}

/// Puts a backup into a data folder that is empty.
fn fill(
    folder: &DataFolder,
    backup: &VerifiedBackup,
    file: &Path,
    identity: [u8; 16],
) -> Result<(), StoreError> {
    let adopted = Snapshots::of(folder.path()).adopt(&backup.whole)?;
    if adopted.sha256 != backup.whole.sha256 {
        return Err(StoreError::Snapshot {
            path: file.to_owned(),
            reason: "it changed while it was read".to_owned(),
        });
    }
    // Last: without a journal nothing is served.
    LocalLog::begin(&folder.path().join("journal"), identity, adopted.snapshot.position)?;
    Ok(())
}

/// Refuses a backup that a key has not signed as it is.
fn insist_on_signature(whole: &VerifiedSnapshot, key: &VerifyingKey) -> Result<(), StoreError> {
    let problem = match &whole.signature {
        Some(signature) if signature.fits(whole, key) => return Ok(()),
        Some(_) => {
            "its signature does not match: it was altered, or made by a server with another key"
        }
        None => "it has no signature: it was altered, or made by an earlier version",
    };
    let reason = format!(
        "{problem}; restore another backup, or, if you trust this one, pass the key of its server with --key, or \
         skip the check with --unsigned"
    );
    Err(StoreError::Snapshot { path: whole.snapshot.path.clone(), reason })
}

fn insist_on_empty(data: &Path) -> Result<(), StoreError> {
    if !data.exists() {
        return Ok(());
    }
    if let Some(name) = folder::data_in(data)? {
        return Err(StoreError::Folder(format!(
            "the data directory {} is not empty: it contains {}; move it away, or choose another data_dir",
            data.display(),
            name.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_written_into_the_file_that_was_created_whatever_has_its_name_by_then() {
        let folder = tempfile::tempdir().unwrap();
        let (path, precious) = (folder.path().join("backup"), folder.path().join("precious"));
        fs::write(&precious, "precious").unwrap();
        fs::create_dir(folder.path().join("snapshots")).unwrap();
        fs::write(folder.path().join("snapshots/one"), "no snapshot").unwrap();
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path).unwrap();
        let kept = file.try_clone().unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let error = save(folder.path(), "one", "", (file, &path), now).unwrap_err();
        assert!(matches!(error, StoreError::Snapshot { .. }), "what was written is read back");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(kept.metadata().unwrap().len(), "no snapshot".len() as u64);
    }
}
