//! PEM files with certificates and keys, and what can be wrong with them.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

use crate::file;

/// Why TLS cannot be set up. Each message names the file and the remedy.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message says what its variant and fields are")]
pub enum TlsError {
    #[error(
        "cannot read {path}: {reason}; check the path, and that this user may read it; if its folder was replaced while scimd ran, restart scimd"
    )]
    Read { path: PathBuf, reason: io::Error },
    #[error(
        "{path} holds no certificate; give a PEM file with the server's certificate first, then its chain"
    )]
    NoCertificate { path: PathBuf },
    #[error("the certificate in {path} is damaged ({reason}); copy the file again from its source")]
    BadCertificate { path: PathBuf, reason: String },
    #[error(
        "{path} holds no private key that can be used; give an unencrypted PEM file (PKCS#8, PKCS#1 or SEC1)"
    )]
    NoPrivateKey { path: PathBuf },
    #[error(
        "the private key in {path} cannot be used; give an RSA key of at least 2048 bits, an ECDSA or an Ed25519 key"
    )]
    BadPrivateKey { path: PathBuf },
    #[error(
        "the private key in {key} does not belong to the certificate in {certificate}; give the pair that was issued together"
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error(
        "the certificate in {path} was valid until {until}; replace it with a newer one; if scimd made it, remove it and its key, and scimd makes both again"
    )]
    Expired { path: PathBuf, until: Timestamp },
    #[error(
        "the certificate in {path} is not valid before {from}; check this machine's clock, or give one that is valid now"
    )]
    NotYetValid { path: PathBuf, from: Timestamp },
    #[error(
        "the certificate in {path}, which scimd signed itself, is damaged: {reason}; restore it from a copy, or remove it and its key, so that scimd makes both again, and give the new certificate to the clients that trust it"
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "others may read the private key {path} (mode {mode:03o}); run `chmod 600 {path}`, and replace the key if another user may have read it (a key that belongs to root may be readable by a group: 640)"
    )]
    OpenKey { path: PathBuf, mode: u32 },
    #[error(
        "{present} is there but {missing} is not; restore the missing file, or remove the other one, so that scimd makes both again"
    )]
    HalfPair { present: PathBuf, missing: PathBuf },
    #[error(
        "{host:?} is neither a host name nor an IP address; correct it, because the certificate must name it"
    )]
    Host { host: String },
    #[error(
        "cannot write {path}: {reason}; check that there is space, and that this user may write there"
    )]
    Write { path: PathBuf, reason: io::Error },
    #[error("cannot make a certificate for {path}: {reason}; give one made elsewhere")]
    Create { path: PathBuf, reason: rcgen::Error },
    #[error("cannot set up TLS with {path}: {reason}; give another certificate")]
    Setup { path: PathBuf, reason: rustls::Error },
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain =
        CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>().map_err(
            |reason| TlsError::BadCertificate { path: path.to_owned(), reason: reason.to_string() },
        )?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = file::read(path).map(|file| file.bytes);
    read.map_err(|reason| TlsError::Read { path: path.to_owned(), reason })
}
