//! The key that signs heads of the log and backups: Ed25519 (RFC 8032), as PKCS #8 in PEM, which other
//! programs read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::BASE64;

use super::StoreError;
use super::sync::sync_folder;
use crate::file;

/// The private key in the data folder; no backup has it.
pub(super) const KEY_FILE: &str = "signing.key";
/// The public key in the data folder, to be kept elsewhere.
pub(super) const PUBLIC_FILE: &str = "signing.pub";
/// How many bytes a signature has.
pub(super) const SIGNATURE_BYTES: usize = 64;

/// A signature.
pub type Signature = [u8; SIGNATURE_BYTES];

/// The private key.
pub struct SigningKey(Ed25519KeyPair);

/// The public key.
pub struct VerifyingKey(Vec<u8>);

impl SigningKey {
    /// Reads the key of a data folder; makes one, and the file with the public key, if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] with a sentence that says what to do.
    pub fn ensure(data: &Path) -> Result<Self, StoreError> {
        let key = match Self::find(data)? {
            Some(key) => key,
            None => {
                let key = Self(Ed25519KeyPair::generate().map_err(|_| failed("make"))?);
                let der: Pkcs8V1Der<'_> = key.0.as_der().map_err(|_| failed("encode"))?;
                write(&data.join(KEY_FILE), &pem("PRIVATE KEY", der.as_ref()))?;
                key
            }
        };
        let der: PublicKeyX509Der<'_> =
            key.0.public_key().as_der().map_err(|_| failed("encode"))?;
        let (public, text) = (data.join(PUBLIC_FILE), pem("PUBLIC KEY", der.as_ref()));
        if fs::read_to_string(&public).ok().as_ref() != Some(&text) {
            write(&public, &text)?;
        }
        Ok(key)
    }

    /// Reads the key of a data folder, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: others may read it, or it is no such key.
    pub fn find(data: &Path) -> Result<Option<Self>, StoreError> {
        let path = data.join(KEY_FILE);
        let Some(der) = read(&path, "PRIVATE KEY")? else { return Ok(None) };
        let mode = fs::metadata(&path).map_err(StoreError::file("look at", &path))?.mode();
        if mode & 0o077 != 0 {
            return Err(StoreError::Folder(format!(
                "other users may read the key {path}; run `chmod 600 {path}`",
                path = path.display()
            )));
        }
        let key = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| no_key(&path, "private"))?;
        Ok(Some(Self(key)))
    }

    /// The key that verifies its signatures.
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(self.0.public_key().as_ref().to_vec())
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &str) -> Result<Signature, StoreError> {
        let signature = self.0.try_sign(message.as_bytes()).map_err(|_| failed("use"))?;
        signature.as_ref().try_into().map_err(|_| failed("use"))
    }
}

impl VerifyingKey {
    /// Reads a public key, as `signing.pub` holds it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: there is no such file, or it holds no such key.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let der = read(path, "PUBLIC KEY")?.ok_or_else(|| {
            StoreError::Folder(format!(
                "file {} not found; pass a copy of signing.pub",
                path.display()
            ))
        })?;
        // A key of any other kind verifies nothing; it is refused here, where its file is known.
        let key = der.strip_prefix(&ED25519_SPKI).filter(|key| key.len() == PUBLIC_BYTES);
        Ok(Self(key.ok_or_else(|| no_key(path, "public"))?.to_vec()))
    }

    /// The key of a data folder; `None` if it has none.
    ///
    /// # Errors
    ///
    /// As [`VerifyingKey::read`] and [`SigningKey::find`].
    pub fn of_folder(data: &Path) -> Result<Option<Self>, StoreError> {
        let public = data.join(PUBLIC_FILE);
        match SigningKey::find(data)? {
            Some(key) => Ok(Some(key.public())),
            None if public.exists() => Self::read(&public).map(Some),
            None => Ok(None),
        }
    }

    /// Whether a message was signed by the private key.
    pub(super) fn verifies(&self, message: &str, signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(message.as_bytes(), signature).is_ok()
    }
}

/// How many bytes a public key has.
const PUBLIC_BYTES: usize = 32;
/// What precedes the bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn failed(action: &'static str) -> StoreError {
    StoreError::Engine { action, reason: "can't use the signing key".to_owned() }
}

/// What to do about a damaged key.
const HELP: &str = "restore it from a copy, or move signing.key, signing.pub and signatures aside: the next start \
    creates a new key";

fn no_key(path: &Path, kind: &str) -> StoreError {
    StoreError::Folder(format!("{} is not a {kind} Ed25519 key in PEM; {HELP}", path.display()))
}

/// Writes a file that only its owner may read, durably: after a crash it is whole or as it was before.
fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let unfinished = path.with_added_extension("unfinished");
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let mut file = file.map_err(StoreError::file("create", &unfinished))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(StoreError::file("write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The content of a PEM file with this label; `None` if there is no file.
fn read(path: &Path, label: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let text = match file::read(path) {
        Ok(file) => String::from_utf8_lossy(&file.bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::file("read", path)(error)),
    };
    let body = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {label}-----")));
    let base64: String = body.unwrap_or_default().split_ascii_whitespace().collect();
    match BASE64.decode(base64.as_bytes()) {
        Ok(der) if !der.is_empty() => Ok(Some(der)),
        _ => Err(StoreError::Folder(format!(
            "{} contains no {label} in PEM; {HELP}",
            path.display()
        ))),
    }
}
