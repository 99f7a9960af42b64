//! The data folder: owned by this user alone, and locked by one process at a time.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::last_backup;
use super::signing::{KEY_FILE, PUBLIC_FILE};

/// What may be in a data folder that holds no data yet, or to which a backup is restored.
const NO_DATA: [&str; 8] =
    ["tls", "lock", "requests", "feed", LOST_AND_FOUND, KEY_FILE, PUBLIC_FILE, last_backup::FILE];
/// A folder at the root of a mounted file system, which root alone may enter.
const LOST_AND_FOUND: &str = "lost+found";

/// The data folder, locked for this process until dropped.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if it is missing (mode 0700).
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] with a sentence that says what to do.
    pub fn create(path: &Path) -> Result<(), StoreError> {
        create(path).map_err(|error| {
            refused(&format!("can't create the data directory {}", path.display()), &error)
        })
    }

    /// Creates the folder if it is missing (mode 0700), checks that it and all in it is ours alone, and
    /// locks it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] with a sentence that says what to do.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        Self::create(path)?;
        insist_on_ours(path)?;
        let lock_path = path.join("lock");
        let unwritable =
            |error| refused(&format!("can't write to the data directory {shown}"), &error);
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(unwritable)?;
        hold(&lock, path)?;
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Opens the folder without altering anything in it: it must exist, and if it has a lock, the lock is
    /// held until this is dropped, so that no server starts meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] with a sentence that says what to do.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        check_readable(path)?;
        let lock_path = path.join("lock");
        let unreadable = StoreError::file("open", &lock_path);
        let lock = match File::open(&lock_path) {
            Ok(lock) => lock,
            // No server has used it yet. The folder itself can be held open as well as a lock in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::open(path).map_err(StoreError::file("open", path))?
            }
            Err(error) => return Err(unreadable(error)),
        };
        hold(&lock, path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Whether a process has the folder open. Nothing is altered.
    ///
    /// # Errors
    ///
    /// As [`DataFolder::open_read_only`].
    pub fn is_in_use(path: &Path) -> Result<bool, StoreError> {
        check_readable(path)?;
        match File::open(path.join("lock")) {
            Ok(lock) => Ok(matches!(lock.try_lock(), Err(TryLockError::WouldBlock))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                Err(refused(&format!("can't open the lock in {}", path.display()), &error))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes the lock of a data folder, unless another process has it.
fn hold(lock: &File, path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(path.join("lock")).unwrap_or_default();
            Err(StoreError::Folder(format!(
                "the data directory {shown} is in use by process {}; stop it first, or choose another data_dir",
                holder.trim()
            )))
        }
        Err(TryLockError::Error(error)) => Err(StoreError::Folder(format!(
            "can't lock the data directory {shown}: {error}; it must be on a local disk"
        ))),
    }
}

/// Checks that there is a data folder that this user may read: its owner, or root. Alters nothing.
///
/// # Errors
///
/// [`StoreError::Folder`] with a sentence that says what to do.
pub(super) fn check_readable(path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    let us = rustix::process::geteuid().as_raw();
    let refuse = |reason: String| Err(StoreError::Folder(reason));
    let found = match path.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refuse(format!("data directory {shown} not found"));
        }
        Err(error) => {
            return Err(refused(&format!("can't read the data directory {shown}"), &error));
        }
    };
    if !found.is_dir() {
        return refuse(format!("{shown} is not a directory; check data_dir"));
    }
    if us != 0 && found.uid() != us {
        return denied(format!(
            "the data directory {shown} belongs to user {owner}, but this runs as user {us}; run it as that user: \
             `sudo -u '#{owner}' scimd …`",
            owner = found.uid()
        ));
    }
    Ok(())
}

/// The error that this user may not use the folder.
fn denied<T>(reason: String) -> Result<T, StoreError> {
    Err(StoreError::Denied(reason))
}

/// The error of the operating system for something that was tried with the folder.
fn refused(tried: &str, error: &io::Error) -> StoreError {
    let reason = format!("{tried}: {}", told(error));
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Denied(reason),
        _ => StoreError::Folder(reason),
    }
}

/// What the operating system says, and what to do about it.
fn told(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free disk space, or raise this user's limits"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount its disk read-write",
        io::ErrorKind::PermissionDenied => "run it with sudo, or as the user that owns the folder",
        _ => "check data_dir, and that this user may write there",
    };
    format!("{error}; {remedy}")
}

/// Creates a folder that only its owner may enter, with its parents, and makes it durable.
fn create(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Checks that the folder is a real one, that only its owner may enter it, and that it and its
/// content belong to the user of this process: it holds personal data, and content that another
/// user could place or replace is not trustworthy. A folder without data is closed to others.
fn insist_on_ours(path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    let us = rustix::process::geteuid().as_raw();
    let refuse = |reason: String| Err(StoreError::Folder(reason));
    let found = path.symlink_metadata().map_err(StoreError::file("look at", path))?;
    if found.is_symlink() {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        return refuse(format!(
            "the data directory {shown} is a symbolic link; set data_dir to the directory itself: {}",
            target.display()
        ));
    }
    if !found.is_dir() {
        return refuse(format!("the data directory {shown} is not a directory; check data_dir"));
    }
    if found.uid() != us {
        return denied(format!(
            "the data directory {shown} belongs to user {owner}, but this runs as user {us}; run it as that user: \
             `sudo -u '#{owner}' scimd …`",
            owner = found.uid()
        ));
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        if data_in(path)?.is_some() {
            return refuse(format!(
                "data directory {shown} is accessible to other users (mode {mode:03o}); review who could read it, \
                 then run `chmod 700 {shown}`"
            ));
        }
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(StoreError::file("close to others", path))?;
    }
    let closed = insist_on_own_files(path, us, true)?;
    if closed > 0 {
        tracing::warn!(
            files = closed, folder = %shown,
            "removed permissions of other users on files in the data directory"
        );
    }
    Ok(())
}

/// The name of something in the folder that is no certificate or key, and not the lock of an earlier attempt.
pub(super) fn data_in(path: &Path) -> Result<Option<OsString>, StoreError> {
    for entry in fs::read_dir(path).map_err(StoreError::file("read", path))? {
        let name = entry.map_err(StoreError::file("read", path))?.file_name();
        if !NO_DATA.iter().any(|known| name == *known) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Insists that all in a folder is ours, where it seems to be, and a file, a folder or a socket. Takes all
/// permissions of others away; returns from how many files and folders.
fn insist_on_own_files(folder: &Path, us: u32, is_top: bool) -> Result<u64, StoreError> {
    let mut closed = 0;
    let unreadable = || StoreError::file("read", folder);
    for entry in fs::read_dir(folder).map_err(unreadable())? {
        let path = entry.map_err(unreadable())?.path();
        let found = match path.symlink_metadata() {
            Ok(found) => found,
            // What a server that runs is just replacing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::file("look at", &path)(error)),
        };
        if is_top && path.ends_with(LOST_AND_FOUND) && found.is_dir() && found.uid() == 0 {
            continue;
        }
        let shown = path.display();
        if found.is_symlink() {
            return Err(StoreError::Folder(format!(
                "{shown} is a symbolic link, and links are not allowed in the data directory; replace it with its \
                 target"
            )));
        }
        if found.uid() != us {
            return Err(StoreError::Folder(format!(
                "{shown} in the data directory belongs to user {}; find out why, then run `chown -R {us} {}`",
                found.uid(),
                folder.display()
            )));
        }
        let kind = found.file_type();
        if !(kind.is_file() || kind.is_dir() || (is_top && kind.is_socket())) {
            return Err(StoreError::Folder(format!(
                "{shown} in the data directory is neither a file nor a directory; find out why it is there, then \
                 remove it"
            )));
        }
        // A key that others may have read is refused where it is read.
        let is_key = is_top && path.ends_with(KEY_FILE);
        if found.mode() & 0o077 != 0 && !is_key {
            let mode = Permissions::from_mode(found.mode() & 0o700);
            fs::set_permissions(&path, mode).map_err(StoreError::file("close to others", &path))?;
            closed += 1;
        }
        if kind.is_dir() {
            closed += insist_on_own_files(&path, us, false)?;
        }
    }
    Ok(closed)
}
