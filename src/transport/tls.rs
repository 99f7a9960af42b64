//! TLS settings: certificate and key, loaded from PEM files and checked.
//!
//! TLS 1.2 and 1.3 through aws-lc-rs, ALPN `http/1.1` only, no early data
//! (it can be replayed). Sessions resume by ticket: identity providers open many short connections.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXUPPER;
use jiff::Timestamp;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, ServerConfig};
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use super::client_ca::ClientCas;
use super::pem::{TlsError, certificates, read};
use super::validity::Validity;
use crate::file;

/// The certificate and key of a listener. Cloning is cheap and shares sessions and ticket keys.
#[derive(Clone)]
pub struct TlsConfig {
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
    client_cas: Arc<ClientCas>,
}

impl TlsConfig {
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// The CAs of clients that present a certificate.
    pub(super) fn client_cas(&self) -> &ClientCas {
        &self.client_cas
    }

    /// The last second in which the certificate is valid, if it can be read.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }
}

/// Loads a certificate chain (leaf first) and its private key from PEM files; clients are asked for a
/// certificate if some connection has a CA for that.
///
/// # Errors
///
/// When a file is missing or holds something else, or the two do not belong together.
pub fn load(cert_pem: &Path, key_pem: &Path, clients: ClientCas) -> Result<TlsConfig, TlsError> {
    let chain = certificates(cert_pem)?;
    let leaf = chain.first().and_then(|leaf| Validity::of(leaf));
    let not_after = leaf.map(|validity| validity.not_after);
    let key = PrivateKeyDer::from_pem_slice(&read(key_pem)?)
        .map_err(|_| TlsError::NoPrivateKey { path: key_pem.to_owned() })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    // The key is loaded alone first, so that the error names the file at fault.
    if provider.key_provider.load_private_key(key.clone_key()).is_err() {
        return Err(TlsError::BadPrivateKey { path: key_pem.to_owned() });
    }
    let setup = |reason| TlsError::Setup { path: cert_pem.to_owned(), reason };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(setup)?;
    let builder = match clients.at_handshake() {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|reason| {
        if matches!(reason, rustls::Error::InconsistentKeys(_)) {
            TlsError::Mismatch { certificate: cert_pem.to_owned(), key: key_pem.to_owned() }
        } else if let rustls::Error::InvalidCertificate(reason) = reason {
            TlsError::BadCertificate { path: cert_pem.to_owned(), reason: format!("{reason:?}") }
        } else {
            setup(reason)
        }
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(setup)?;
    Ok(TlsConfig { config: Arc::new(config), not_after, client_cas: Arc::new(clients) })
}

/// Reads the validity of the certificate in a PEM file, and checks that it is valid at `now`.
///
/// # Errors
///
/// [`TlsError::Expired`], [`TlsError::NotYetValid`], or that the file holds no certificate.
pub fn validity(cert_pem: &Path, now: Timestamp) -> Result<Validity, TlsError> {
    let path = || cert_pem.to_owned();
    let chain = certificates(cert_pem)?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate { path: path() })?;
    let validity = Validity::of(leaf).ok_or_else(|| TlsError::BadCertificate {
        path: path(),
        reason: "its dates can't be read".to_owned(),
    })?;
    let Validity { not_before, not_after } = validity;
    if now < not_before {
        return Err(TlsError::NotYetValid { path: path(), from: not_before });
    }
    if now.as_second() > not_after.as_second() {
        return Err(TlsError::Expired { path: path(), until: not_after });
    }
    Ok(validity)
}

/// Whether the leaf certificate in a PEM file is for a host: a name or an address.
pub fn is_for(cert_pem: &Path, host: &str) -> bool {
    let chain = certificates(cert_pem).unwrap_or_default();
    let leaf = chain.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    let name = ServerName::try_from(host).ok();
    leaf.zip(name).is_some_and(|(leaf, name)| verify_server_name(&leaf, &name).is_ok())
}

/// The number of certificates in a PEM file.
pub fn chain_length(cert_pem: &Path) -> usize {
    certificates(cert_pem).map_or(0, |chain| chain.len())
}

/// Checks that only its owner may read a private key. A key that belongs to root may be readable by a
/// group, which is how a key is shared between services.
///
/// # Errors
///
/// [`TlsError::OpenKey`], or [`TlsError::Read`] if the file can't be looked at.
pub fn check_key_mode(key_pem: &Path) -> Result<(), TlsError> {
    let found = std::fs::metadata(key_pem)
        .map_err(|reason| TlsError::Read { path: key_pem.to_owned(), reason })?;
    let mode = found.mode() & 0o777;
    if !file::is_private(found.uid(), mode) {
        return Err(TlsError::OpenKey { path: key_pem.to_owned(), mode });
    }
    Ok(())
}

/// Whether the certificate in a PEM file is for a host: a name or an address.
///
/// # Errors
///
/// When the file cannot be read or holds no certificate.
pub fn names(cert_pem: &Path, host: &str) -> Result<bool, TlsError> {
    let path = || cert_pem.to_owned();
    let chain = certificates(cert_pem)?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate { path: path() })?;
    let bad = |reason: rustls::Error| TlsError::BadCertificate {
        path: path(),
        reason: reason.to_string(),
    };
    let leaf = ParsedCertificate::try_from(leaf).map_err(bad)?;
    let Ok(host) = ServerName::try_from(host.to_owned()) else { return Ok(false) };
    Ok(verify_server_name(&leaf, &host).is_ok())
}

/// SHA-256 of the leaf certificate, as `openssl x509 -fingerprint -sha256` shows it.
///
/// # Errors
///
/// When the file cannot be read or holds no certificate.
pub fn fingerprint(cert_pem: &Path) -> Result<String, TlsError> {
    let chain = certificates(cert_pem)?;
    let leaf =
        chain.first().ok_or_else(|| TlsError::NoCertificate { path: cert_pem.to_owned() })?;
    let pairs: Vec<String> =
        Sha256::digest(leaf.as_ref()).iter().map(|&byte| HEXUPPER.encode(&[byte])).collect();
    Ok(pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Folder, Running, limits, output};
    use super::super::self_signed;
    use super::*;

    fn load(cert: &Path, key: &Path) -> Result<TlsConfig, TlsError> {
        super::load(cert, key, ClientCas::default())
    }

    fn error(result: Result<TlsConfig, TlsError>) -> String {
        result.err().expect("an error").to_string()
    }

    #[test]
    fn errors_name_the_file_and_the_remedy() {
        let folder = Folder::new("errors");
        let (cert, key) = folder.pair("one");
        let (_, other_key) = folder.pair("two");
        let text = folder.0.join("text.pem");
        std::fs::write(&text, "nothing").unwrap();
        let damaged = folder.0.join("damaged.pem");
        std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();

        assert!(load(&cert, &key).is_ok());
        for (result, file, says) in [
            (load(&folder.0.join("none.pem"), &key), "none.pem", "can't read"),
            (load(&cert, &folder.0.join("none.pem")), "none.pem", "can't read"),
            (load(&text, &key), "text.pem", "contains no certificate"),
            (load(&key, &key), "key.pem", "contains no certificate"),
            (load(&damaged, &key), "damaged.pem", "damaged"),
            (load(&cert, &text), "text.pem", "no usable private key"),
            (load(&cert, &other_key), "two/key.pem", "does not belong"),
        ] {
            let message = error(result);
            assert!(message.contains(file) && message.contains(says), "{message}");
        }

        std::fs::remove_file(&other_key).unwrap();
        let half = self_signed::ensure(&folder.0.join("two"), &[], 0).unwrap_err().to_string();
        assert!(half.contains("two/key.pem does not"), "{half}");
        let host = self_signed::ensure(&folder.0.join("three"), &["a b".to_owned()], 0);
        assert!(host.unwrap_err().to_string().contains("\"a b\""));
        assert!(!folder.0.join("three").exists());
    }

    #[tokio::test]
    #[ignore = "needs curl, openssl and python3; .ci/run installs them and runs it"]
    async fn curl_and_python_trust_the_certificate() {
        const PYTHON: &str = "
import ssl, sys, urllib.request
for strict in (False, True):
    context = ssl.create_default_context(cafile=sys.argv[1])
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    print(urllib.request.urlopen(sys.argv[2], context=context).read().decode())
";
        let folder = Folder::new("clients");
        let (cert, key) = folder.pair("tls");
        let server = Running::start(limits(), Some(load(&cert, &key).unwrap())).await;
        let file = cert.to_str().unwrap().to_owned();
        let port = server.address.port();
        let answers = tokio::task::spawn_blocking(move || {
            let local = format!("https://127.0.0.1:{port}/");
            let named = format!("https://localhost:{port}/");
            [
                output("curl", &["-sS", "--tlsv1.3", "--cacert", &file, &local]),
                output("curl", &["-sS", "--tls-max", "1.2", "--cacert", &file, &local]),
                output("curl", &["-sS4", "--http2", "--cacert", &file, &named]),
                output("python3", &["-c", PYTHON, &file, &local]),
            ]
        });
        assert_eq!(answers.await.unwrap(), ["ok", "ok", "ok", "ok\nok\n"]);
        assert_eq!(server.stop().await, super::super::Drained::Complete);
    }
}
