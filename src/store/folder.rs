//! The data folder: ours alone, and one process at a time.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// The data folder, locked for this process until dropped.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if it is missing (mode 0700) and locks it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] with a sentence that says what to do.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        create(path).map_err(|error| {
            StoreError::Folder(format!(
                "can't create the data folder {shown}: {error}; check data_dir and its owner"
            ))
        })?;
        let lock_path = path.join("lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| {
                StoreError::Folder(format!(
                    "can't write to the data folder {shown}: {error}; run as the user who owns it"
                ))
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&lock_path).unwrap_or_default();
                return Err(StoreError::Folder(format!(
                    "the data folder {shown} is in use by process {}; stop it first, or name another data_dir",
                    holder.trim()
                )));
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::Folder(format!(
                    "can't lock the data folder {shown}: {error}; it must be on a local disk"
                )));
            }
        }
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(|error| {
            StoreError::Folder(format!("can't write to the data folder {shown}: {error}"))
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates a folder that only its owner may enter, with its parents, and makes it durable. One that is
/// there already is closed to others: it holds personal data.
fn create(path: &Path) -> std::io::Result<()> {
    if let Ok(present) = fs::metadata(path)
        && present.is_dir()
    {
        let mode = present.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::info!(folder = %path.display(), "others may enter the data folder no longer");
            fs::set_permissions(path, Permissions::from_mode(mode & 0o700))?;
        }
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
