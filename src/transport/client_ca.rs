//! Certificates of clients (mutual TLS): asked for at the handshake, checked for each request.
//!
//! Which connection of the configuration a client belongs to is known only once its credential is. So the
//! handshake takes any certificate, or none, and has the client prove that it holds the key; the gate has the
//! chain checked against the CA of the connection. A client that is not let in gets an answer, and the audit
//! trail an entry.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use super::pem::{TlsError, certificates, revocation_lists};

/// What checks chains against the CA of one connection.
pub(super) type ChainVerifier = Arc<dyn ClientCertVerifier>;

/// The CAs of connections whose clients present a certificate, by the name of the connection.
#[derive(Clone, Default)]
pub struct ClientCas(BTreeMap<String, ChainVerifier>);

impl ClientCas {
    /// Reads the PEM file of each connection.
    ///
    /// # Errors
    ///
    /// [`TlsError`] for a file that can't be read, holds no certificate of a CA, or a damaged revocation list.
    pub fn load(files: &BTreeMap<String, PathBuf>) -> Result<Self, TlsError> {
        let cas = files.iter().map(|(name, file)| Ok((name.clone(), verifier(file)?)));
        Ok(Self(cas.collect::<Result<_, TlsError>>()?))
    }

    /// What checks the clients of a connection; `None` if it has no CA.
    pub(super) fn of(&self, connection: &str) -> Option<&ChainVerifier> {
        self.0.get(connection)
    }

    /// What a handshake does about the certificate of a client; `None` if no connection has a CA.
    pub(super) fn at_handshake(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        let hints: Vec<DistinguishedName> =
            self.0.values().flat_map(|ca| ca.root_hint_subjects().to_vec()).collect();
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        (!self.0.is_empty()).then(|| Arc::new(AnyCertificate { hints, algorithms }) as Arc<_>)
    }
}

/// What checks chains against the CAs of a file. If the file has revocation lists as well, each certificate of a chain
/// needs one of its issuer: what no list covers is not accepted. Lists count after their next update is due, too.
fn verifier(file: &Path) -> Result<ChainVerifier, TlsError> {
    let bad = |reason: String| TlsError::BadCertificate { path: file.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let lists = revocation_lists(file)?;
    let builder = if lists.is_empty() { builder } else { builder.with_crls(lists) };
    builder.build().map_err(|error| bad(error.to_string()))
}

/// Why a client's certificate is not accepted, as a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadClientCertificate(String);

impl BadClientCertificate {
    /// No certificate was sent.
    pub(super) fn missing() -> Self {
        Self("no client certificate was sent".to_owned())
    }
}

impl fmt::Display for BadClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a chain that a client has presented, leaf first.
///
/// # Errors
///
/// [`BadClientCertificate`]: there is none, it does not end at the CA, it is out of its time, it is revoked, or it is
/// not for clients.
pub(super) fn check(
    ca: &ChainVerifier,
    chain: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<(), BadClientCertificate> {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(BadClientCertificate::missing());
    };
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let checked = ca.verify_client_cert(leaf, intermediates, now);
    checked.map(drop).map_err(|error| BadClientCertificate(error.to_string()))
}

/// Takes any certificate whose key the client proves to hold, and none as well.
#[derive(Debug)]
struct AnyCertificate {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
