//! The key of access tokens: 256 random bits as hexadecimal digits in a file.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::process::{getegid, geteuid};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::connection::access_token::{AccessTokenIssuer, AccessTokenKey};
use crate::connection::token::SECRET_BYTES;
use crate::directory::Directory;
use crate::file;

/// The name of the file in the data directory; no backup has it.
const FILE: &str = "access-token.key";

/// Has a directory issue access tokens by the key of a configuration. A key in the data directory is made if there is
/// none: access tokens of another key open nothing, and clients get others by themselves.
///
/// # Errors
///
/// The file can't be read or written, others may read it, or it holds no key.
pub fn issue_access_tokens(config: &Config, directory: &Directory) -> Result<()> {
    let key = match &config.oauth.key_file {
        Some(path) => read(path)?.with_context(|| {
            let path = path.display();
            format!(
                "oauth.key_file: {path} not found; create it with `(umask 077; openssl rand -hex 32 > {path})` and give \
                 it to the user that scimd runs as"
            )
        })?,
        None => {
            let path = config.data_dir.join(FILE);
            match read(&path)? {
                Some(key) => key,
                None => create(&path)?,
            }
        }
    };
    let lifetime = config.oauth.access_token_lifetime;
    directory.issue_access_tokens(AccessTokenIssuer::new(AccessTokenKey::new(&key), lifetime));
    Ok(())
}

type KeyBytes = Zeroizing<[u8; SECRET_BYTES]>;

/// Reads a key; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<KeyBytes>> {
    let shown = path.display();
    let found = match file::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("can't read the key of access tokens {shown}"))?,
    };
    if found.mode & 0o077 != 0 {
        bail!("others may read the key {shown}; run `chmod 600 {shown}`");
    }
    let text = Zeroizing::new(found.bytes);
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).map(Zeroizing::new);
    let key = bytes.ok().and_then(|bytes| <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).ok());
    match key {
        Some(key) => Ok(Some(Zeroizing::new(key))),
        None => bail!(
            "{shown} holds no key of 64 hexadecimal digits; remove it, and the next start makes another, or create it \
             with `openssl rand -hex 32`"
        ),
    }
}

fn create(path: &Path) -> Result<KeyBytes> {
    let mut key = Zeroizing::new([0; SECRET_BYTES]);
    SysRng.try_fill_bytes(key.as_mut()).context("the operating system gives no randomness")?;
    let text = Zeroizing::new(format!("{}\n", HEXLOWER.encode(key.as_ref())));
    let us = (geteuid().as_raw(), getegid().as_raw());
    file::replace(path, Some(text.as_bytes()), 0o600, us)
        .with_context(|| format!("can't write the key of access tokens {}", path.display()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(read(&path).unwrap().is_none());
        let made = create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*read(&path).unwrap().unwrap(), *made);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for text in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("openssl rand -hex 32"));
        }
        fs::write(&path, format!("{}\n", "Ab".repeat(32))).unwrap();
        assert_eq!(*read(&path).unwrap().unwrap(), [0xab; 32]);
    }
}
