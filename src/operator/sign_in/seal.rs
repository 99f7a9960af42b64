//! Secrets of one-time codes: made, and encrypted for the log.

use rand::TryRng;
use rand::rngs::SysRng;

use crate::credential::{CODE_SECRET_BYTES, CodeSecret, NONCE_BYTES, SealedSecret};
use crate::directory::{Directory, DirectoryError};

/// A new secret of one-time codes.
pub(in crate::operator) fn new_secret() -> Result<CodeSecret, DirectoryError> {
    random::<CODE_SECRET_BYTES>().map(CodeSecret::from_random)
}

/// Random bytes of the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], DirectoryError> {
    let mut bytes = [0; N];
    let filled = SysRng.try_fill_bytes(&mut bytes);
    filled.map_err(|error| unfit(&format!("the operating system gives no randomness: {error}")))?;
    Ok(bytes)
}

/// Encrypts the secret of an operator for the log.
pub(in crate::operator) fn seal(
    directory: &Directory,
    name: &str,
    secret: &CodeSecret,
) -> Result<SealedSecret, DirectoryError> {
    let key = directory.code_key().map_err(|error| unfit(&error))?;
    let sealed = key.seal(name, secret, random::<NONCE_BYTES>()?);
    sealed.ok_or_else(|| unfit(&"the secret of the one-time codes can't be encrypted"))
}

fn unfit(reason: &dyn std::fmt::Display) -> DirectoryError {
    DirectoryError::Unfit(reason.to_string())
}
