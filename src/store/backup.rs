//! Backups: a snapshot that leaves the data folder, and comes back as the beginning of another.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
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
    let mut counts = BTreeMap::new();
    let whole = snapshot::load(file, |writes| {
        for write in writes {
            let Some(tag) = keys::counted(&write.key) else { continue };
            let count = write.value.and_then(|value| value.as_ref().try_into().ok());
            counts.insert(tag, count.map_or(0, u64::from_le_bytes));
        }
        Ok(())
    })?;
    Ok(VerifiedBackup { whole, counts })
}

/// Copies a snapshot of a data folder, whose SHA-256 is known, to `to`, signs it if the folder has a key, and
/// reads it back.
///
/// # Errors
///
/// As [`check`]; the key can't be used.
pub fn save(
    data: &Path,
    name: &str,
    sha256: &str,
    to: &Path,
    now: Timestamp,
) -> Result<VerifiedBackup, StoreError> {
    let from = Snapshots::of(data).path(name);
    snapshots::copy(&from, u64::MAX, to)?;
    if let Some(key) = SigningKey::find(data)? {
        let position = snapshot::outline(&from)?.position;
        let signature = BackupSignature::new(&key, position, sha256, now)?.encode();
        let file = File::options().append(true).open(to);
        file.and_then(|mut file| file.write_all(&signature).and_then(|()| file.sync_all()))
            .map_err(StoreError::file("write", to))?;
    }
    match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent)?,
        _ => sync_folder(Path::new("."))?,
    }
    check(to)
}

/// Restores a backup into an empty data folder.
///
/// The journal continues the numbers and the chain of the one that the backup was taken from, under
/// an identity of its own: nothing that knows what came after the backup fits it.
///
/// # Errors
///
/// The backup is not whole, the given key has not signed it, or the folder is not empty: then nothing was
/// touched.
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
    let adopted = Snapshots::of(folder.path()).adopt(&backup.whole)?;
    if adopted.sha256 != backup.whole.sha256 {
        return Err(StoreError::Snapshot {
            path: file.to_owned(),
            reason: "it has changed while it was read".to_owned(),
        });
    }
    // Last: without a journal nothing is served.
    LocalLog::begin(&folder.path().join("journal"), identity, adopted.snapshot.position)?;
    Ok(backup)
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
        "{problem}; restore another backup, or, if you know where this one comes from, give the key of that \
         server with --key, or leave the signature unchecked with --unsigned"
    );
    Err(StoreError::Snapshot { path: whole.snapshot.path.clone(), reason })
}

fn insist_on_empty(data: &Path) -> Result<(), StoreError> {
    if !data.exists() {
        return Ok(());
    }
    if let Some(name) = folder::data_in(data)? {
        return Err(StoreError::Folder(format!(
            "the data folder {} is not empty: it has {}; move it away, or name another data_dir",
            data.display(),
            name.display()
        )));
    }
    Ok(())
}
