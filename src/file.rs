//! Small files that an operator provides: configuration, certificates, keys.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// The maximum size of a small file, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// A small file as it was read, with its owner and mode.
pub struct SmallFile {
    /// The content.
    pub bytes: Vec<u8>,
    /// The user id of the owner.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
}

impl SmallFile {
    /// Whether only its owner can read it; what belongs to root may be readable by a group.
    pub fn is_private(&self) -> bool {
        is_private(self.owner, self.mode)
    }
}

/// Whether a file of this owner and mode is readable by its owner alone; what belongs to root may be readable by
/// a group.
pub fn is_private(owner: u32, mode: u32) -> bool {
    let forbidden = if owner == 0 { 0o037 } else { 0o077 };
    mode & forbidden == 0
}

/// Reads a regular file of at most [`MAX_BYTES`].
///
/// # Errors
///
/// The error of the operating system; [`io::ErrorKind::FileTooLarge`]; [`io::ErrorKind::InvalidInput`] for what
/// is no regular file. A FIFO or a device is neither waited for nor read.
pub fn read(path: &Path) -> io::Result<SmallFile> {
    read_with(path, OFlags::empty())
}

/// Like [`read`], and refuses a symbolic link.
///
/// # Errors
///
/// As for [`read`]; the error of the operating system for a link.
pub fn read_itself(path: &Path) -> io::Result<SmallFile> {
    read_with(path, OFlags::NOFOLLOW)
}

fn read_with(path: &Path, flags: OFlags) -> io::Result<SmallFile> {
    // Opening a FIFO would wait for the other end.
    let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        let reason = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let too_large = || {
        let reason = format!("it is larger than {MAX_BYTES} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, reason)
    };
    if found.len() > MAX_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    Ok(SmallFile { bytes, owner: found.uid(), mode: found.mode() & 0o777 })
}

/// Gives a file these bytes, or removes it, so that a crash leaves the file as it was or as it is to be.
///
/// The new file has this mode and owner (user and group); the folder must exist.
///
/// # Errors
///
/// The error of the operating system; the file is as it was.
pub fn replace(path: &Path, bytes: Option<&[u8]>, mode: u32, owner: (u32, u32)) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    match bytes {
        Some(bytes) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Hidden, so that nothing reads it as a part of the configuration.
            let beside = folder.join(format!(".{name}.{}", std::process::id()));
            let written = write_new(&beside, bytes, mode, owner)
                .and_then(|()| std::fs::rename(&beside, path));
            if let Err(error) = written {
                // It may not exist.
                let _ = std::fs::remove_file(&beside);
                return Err(error);
            }
        }
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, (user, group): (u32, u32)) -> io::Result<()> {
    // Of a process that had this id before and was killed.
    let _ = std::fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    // The umask may have taken away more.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (user, group) && rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_regular_file_is_read_and_anything_else_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let error = || read(&path).err().map(|error| error.kind());
        for (size, expected) in
            [(0, None), (MAX_BYTES, None), (MAX_BYTES + 1, Some(io::ErrorKind::FileTooLarge))]
        {
            File::create(&path).unwrap().set_len(size).unwrap();
            assert_eq!(error(), expected, "{size}");
        }
        // Sparse: it takes no room.
        File::create(&path).unwrap().set_len(3 << 30).unwrap();
        assert_eq!(error(), Some(io::ErrorKind::FileTooLarge));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error(), Some(io::ErrorKind::NotFound));
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(error(), Some(io::ErrorKind::InvalidInput));
        for path in ["/dev/zero", "/"] {
            let refused = read(Path::new(path)).err().map(|error| error.kind());
            assert_eq!(refused, Some(io::ErrorKind::InvalidInput), "{path}");
        }
    }
}
