//! The key that encrypts the secrets of one-time codes: 256 random bits as hexadecimal digits in the data directory.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::key_file::{self, KeyFile};
use crate::config::Config;
use crate::credential::CodeKey;
use crate::directory::Directory;

/// The name of the file in the data directory; no backup has it.
const FILE: &str = "operator-secrets.key";

const KEY: KeyFile = KeyFile {
    what: "the key of one-time codes",
    help: "remove it, and the next start makes another; all operators of the console then enrol their one-time codes again",
};

/// Has a directory read the key of one-time codes, or make it, once it needs it.
pub(super) fn provide_code_key(config: &Config, directory: &Directory) {
    let path = config.data_dir.join(FILE);
    directory.load_code_key_with(Box::new(move || {
        find_or_create(&path).map_err(|error| format!("{error:#}"))
    }));
}

/// Reads the key of one-time codes, or makes it, and says which operators have to enrol again because it is another
/// one than their codes were encrypted with.
///
/// # Errors
///
/// The file can't be read or written, others may read it, or it holds no key.
pub fn check_code_key(directory: &Directory) -> Result<()> {
    let key = directory.code_key().map_err(|error| anyhow!(error))?;
    for operator in directory.operators() {
        let name = operator.name;
        if operator.code.is_some_and(|sealed| key.open(&name, &sealed).is_none()) {
            tracing::warn!(
                operator = %name,
                "the one-time code of an operator can't be read, because {FILE} is not the one that it was encrypted \
                 with; print a sign-in link with `scimd console link --operator {name}`, by which the operator enrols \
                 again, or put the former {FILE} back and restart"
            );
        }
    }
    Ok(())
}

fn find_or_create(path: &Path) -> Result<CodeKey> {
    let bytes = match key_file::read(path, &KEY)? {
        Some(bytes) => bytes,
        None => key_file::create(path, &KEY)?,
    };
    CodeKey::new(&bytes).ok_or_else(|| anyhow!("the key of one-time codes can't be used"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::credential::{CODE_SECRET_BYTES, CodeSecret, NONCE_BYTES};

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let secret = CodeSecret::from_random([5; CODE_SECRET_BYTES]);
        let sealed = find_or_create(&path).unwrap().seal("ada", &secret, [1; NONCE_BYTES]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(find_or_create(&path).unwrap().open("ada", &sealed).is_some());
        fs::remove_file(&path).unwrap();
        assert!(find_or_create(&path).unwrap().open("ada", &sealed).is_none());
        fs::write(&path, "damaged").unwrap();
        let error = find_or_create(&path).err().unwrap().to_string();
        assert!(error.contains("enrol") && error.contains(FILE), "{error}");
    }
}
