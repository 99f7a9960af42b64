//! PEM files with certificates and keys, and what can be wrong with them.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use thiserror::Error;

use crate::file;

/// Why TLS cannot be set up. Each message names the file and the remedy.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message says what its variant and fields are")]
pub enum TlsError {
    #[error(
        "can't read {path}: {reason}; check the path and that this user may read it; if its directory was replaced \
         while scimd was running, restart scimd"
    )]
    Read { path: PathBuf, reason: io::Error },
    #[error(
        "{path} contains no certificate; expected a PEM file with the server's certificate first, then its chain"
    )]
    NoCertificate { path: PathBuf },
    #[error("the certificate in {path} is damaged ({reason}); copy the file again from its source")]
    BadCertificate { path: PathBuf, reason: String },
    #[error(
        "{path} contains no usable private key; expected an unencrypted PEM file (PKCS#8, PKCS#1 or SEC1)"
    )]
    NoPrivateKey { path: PathBuf },
    #[error(
        "the private key in {path} can't be used; expected an RSA key of at least 2048 bits, an ECDSA or an Ed25519 \
         key"
    )]
    BadPrivateKey { path: PathBuf },
    #[error(
        "the private key in {key} does not belong to the certificate in {certificate}; use the pair that was issued \
         together"
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error(
        "the certificate in {path} expired {until}; replace it; if it is scimd's self-signed one, remove it and its \
         key, and scimd creates both again"
    )]
    Expired { path: PathBuf, until: Timestamp },
    #[error(
        "the certificate in {path} is not valid before {from}; check this machine's clock, or use one that is valid \
         now"
    )]
    NotYetValid { path: PathBuf, from: Timestamp },
    #[error(
        "the self-signed certificate in {path} is damaged: {reason}; restore it from a copy, or remove it and its \
         key so that scimd creates both again, and give the new certificate to the clients that trust it"
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "other users may read the private key {path} (mode {mode:03o}); run `chmod 600 {path}`, and replace the key \
         if another user may have read it (a key of root may have mode 640)"
    )]
    OpenKey { path: PathBuf, mode: u32 },
    #[error(
        "{present} exists but {missing} does not; restore the missing file, or remove the other one so that scimd \
         creates both again"
    )]
    HalfPair { present: PathBuf, missing: PathBuf },
    #[error(
        "{host:?} is neither a host name nor an IP address; correct it: the certificate must contain it"
    )]
    Host { host: String },
    #[error(
        "can't write {path}: {reason}; check the free space, and that this user may write there"
    )]
    Write { path: PathBuf, reason: io::Error },
    #[error("can't create a certificate for {path}: {reason}; set listen.certificate to your own")]
    Create { path: PathBuf, reason: rcgen::Error },
    #[error("can't set up TLS with {path}: {reason}; use another certificate")]
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

/// The revocation lists of a PEM file; there need be none.
pub(super) fn revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(&read(path)?).collect();
    lists.map_err(|reason| TlsError::BadCertificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    })
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = file::read(path).map(|file| file.bytes);
    read.map_err(|reason| TlsError::Read { path: path.to_owned(), reason })
}
