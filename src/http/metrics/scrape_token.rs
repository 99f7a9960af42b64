//! The token that `/metrics` asks for.

use std::path::{Path, PathBuf};

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::file;

/// The fewest characters of a token: one that is shorter can be guessed.
const MIN_CHARACTERS: usize = 20;

/// Why the file of the token can't be used.
#[derive(Debug, Error)]
pub enum ScrapeTokenError {
    /// It can't be read.
    #[error("metrics.token_file: can't read {}: {reason}; check the path, and that the user that runs scimd may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        reason: std::io::Error,
    },
    /// Others may read it.
    #[error("metrics.token_file: others may read {0}; run `chmod 600 {0}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It holds no token.
    #[error(
        "metrics.token_file: {} must hold one line of {MIN_CHARACTERS} characters or more without spaces, such as \
         `openssl rand -hex 24` prints", path.display()
    )]
    Weak {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the token of a file: its digest.
///
/// # Errors
///
/// [`ScrapeTokenError`].
pub fn read(path: &Path) -> Result<ScrapeToken, ScrapeTokenError> {
    let path_buf = || path.to_owned();
    let found = file::read(path)
        .map_err(|reason| ScrapeTokenError::Unreadable { path: path_buf(), reason })?;
    if !found.is_private() {
        return Err(ScrapeTokenError::Open { path: path_buf() });
    }
    let token = found.bytes.trim_ascii();
    if token.len() < MIN_CHARACTERS || !token.iter().all(u8::is_ascii_graphic) {
        return Err(ScrapeTokenError::Weak { path: path_buf() });
    }
    Ok(ScrapeToken(Sha256::digest(token).into()))
}

/// A token, by its digest.
pub struct ScrapeToken([u8; 32]);

impl ScrapeToken {
    /// Whether a request presents the token.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let (Some(sent), None) = (sent.next(), sent.next()) else { return false };
        let Some((scheme, token)) = sent.to_str().ok().and_then(|sent| sent.split_once(' ')) else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(token.trim()).into();
        scheme.eq_ignore_ascii_case("bearer") && bool::from(self.0.ct_eq(&digest))
    }
}
