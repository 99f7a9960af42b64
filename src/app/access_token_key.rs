//! The key of access tokens: 256 random bits as hexadecimal digits in a file.

use anyhow::{Context as _, Result};

use super::key_file::{self, KeyFile};
use crate::config::Config;
use crate::connection::access_token::{AccessTokenIssuer, AccessTokenKey};
use crate::directory::Directory;
use crate::store::used_assertions::UsedAssertions;

/// The name of the file in the data directory; no backup has it.
const FILE: &str = "access-token.key";

const KEY: KeyFile = KeyFile {
    what: "the key of access tokens",
    help: "remove it, and the next start makes another, or create it with `openssl rand -hex 32`",
};

/// Has a directory issue access tokens by the key of a configuration. A key in the data directory is made if there is
/// none: access tokens of another key open nothing, and clients get others by themselves. The assertions that clients
/// used before are read as well.
///
/// # Errors
///
/// The files can't be read or written, others may read the key, or it holds none.
pub fn issue_access_tokens(config: &Config, directory: &Directory) -> Result<()> {
    let key = match &config.oauth.key_file {
        Some(path) => key_file::read(path, &KEY)?.with_context(|| {
            let path = path.display();
            format!(
                "oauth.key_file: {path} not found; create it with `(umask 077; openssl rand -hex 32 > {path})` and give \
                 it to the user that scimd runs as"
            )
        })?,
        None => {
            let path = config.data_dir.join(FILE);
            match key_file::read(&path, &KEY)? {
                Some(key) => key,
                None => key_file::create(&path, &KEY)?,
            }
        }
    };
    directory.remember_assertions(UsedAssertions::open(&config.data_dir)?);
    let lifetime = config.oauth.access_token_lifetime;
    directory.issue_access_tokens(AccessTokenIssuer::new(AccessTokenKey::new(&key), lifetime));
    Ok(())
}
