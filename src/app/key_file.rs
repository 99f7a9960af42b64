//! A key in a file: 256 random bits as hexadecimal digits, which only its owner may read.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::process::{getegid, geteuid};
use zeroize::Zeroizing;

use crate::file;

/// The size of a key, in bytes.
const KEY_BYTES: usize = 32;

/// What messages say of a key.
pub(super) struct KeyFile {
    /// What it is.
    pub(super) what: &'static str,
    /// What to do about a file that holds no key.
    pub(super) help: &'static str,
}

pub(super) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// Reads a key; `None` if there is no such file.
///
/// # Errors
///
/// The file can't be read, others may read it, or it holds no key.
pub(super) fn read(path: &Path, key: &KeyFile) -> Result<Option<KeyBytes>> {
    let shown = path.display();
    let found = match file::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("can't read {} {shown}", key.what))?,
    };
    if found.mode & 0o077 != 0 {
        bail!("others may read the key {shown}; run `chmod 600 {shown}`");
    }
    let text = Zeroizing::new(found.bytes);
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).map(Zeroizing::new);
    let bytes = bytes.ok().and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok());
    match bytes {
        Some(bytes) => Ok(Some(Zeroizing::new(bytes))),
        None => bail!("{shown} holds no key of 64 hexadecimal digits; {}", key.help),
    }
}

/// Makes a key.
///
/// # Errors
///
/// The file can't be written.
pub(super) fn create(path: &Path, key: &KeyFile) -> Result<KeyBytes> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    SysRng.try_fill_bytes(bytes.as_mut()).context("the operating system gives no randomness")?;
    let text = Zeroizing::new(format!("{}\n", HEXLOWER.encode(bytes.as_ref())));
    let us = (geteuid().as_raw(), getegid().as_raw());
    file::replace(path, Some(text.as_bytes()), 0o600, us)
        .with_context(|| format!("can't write {} {}", key.what, path.display()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    const KEY: KeyFile = KeyFile { what: "a key", help: "create it with `openssl rand -hex 32`" };

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(read(&path, &KEY).unwrap().is_none());
        let made = create(&path, &KEY).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*read(&path, &KEY).unwrap().unwrap(), *made);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path, &KEY).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(read(&path, &KEY).unwrap_err().to_string().contains("openssl rand -hex 32"));
        }
        fs::write(&path, format!("{}\n", "Ab".repeat(32))).unwrap();
        assert_eq!(*read(&path, &KEY).unwrap().unwrap(), [0xab; 32]);
    }
}
