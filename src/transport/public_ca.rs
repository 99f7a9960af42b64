//! Whether clients that trust the CAs of this machine accept a certificate.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{ServerName, UnixTime};

use super::pem::{TlsError, certificates};
use crate::authorities;

/// What a certificate chain is worth to a client that trusts the CAs of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainTrust {
    /// It leads to one of them.
    Trusted,
    /// A client refuses it; why.
    Refused(String),
    /// This machine has no list of CAs.
    NoRoots,
}

/// Checks the chain of a PEM file, as a client does that connects to `host` at `now`.
///
/// # Errors
///
/// The file can't be read, or holds no certificate.
pub fn chain_trust(pem: &Path, host: &str, now: Timestamp) -> Result<ChainTrust, TlsError> {
    trust(pem, host, now, authorities::of_this_machine())
}

fn trust(
    pem: &Path,
    host: &str,
    now: Timestamp,
    roots: RootCertStore,
) -> Result<ChainTrust, TlsError> {
    let chain = certificates(pem)?;
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(TlsError::NoCertificate { path: pem.to_owned() });
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let Ok(verifier) =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
    else {
        return Ok(ChainTrust::NoRoots);
    };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return Ok(ChainTrust::Refused(format!(
            "{host} is not a name that a certificate can be for"
        )));
    };
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    Ok(match verifier.verify_server_cert(leaf, intermediates, &name, &[], now) {
        Ok(_) => ChainTrust::Trusted,
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            ChainTrust::Refused("it does not lead to a CA that this machine trusts".to_owned())
        }
        Err(error) => ChainTrust::Refused(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    #[test]
    fn a_chain_is_trusted_if_it_is_whole_and_for_the_host() {
        let ca = |name| {
            let mut ca = CertificateParams::new(Vec::new()).unwrap();
            ca.distinguished_name.push(DnType::CommonName, name);
            ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            ca
        };
        let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
        let between =
            CertifiedIssuer::signed_by(ca("between"), KeyPair::generate().unwrap(), &root).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["scim.example.com".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &between).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let roots = || {
            let mut roots = RootCertStore::empty();
            roots.add(root.der().clone()).unwrap();
            roots
        };
        std::fs::write(&path, format!("{leaf}{}", between.pem())).unwrap();
        let of = |host, roots| trust(&path, host, now, roots).unwrap();
        assert_eq!(of("scim.example.com", roots()), ChainTrust::Trusted);
        assert!(matches!(of("other.example.com", roots()), ChainTrust::Refused(_)));
        assert_eq!(of("scim.example.com", RootCertStore::empty()), ChainTrust::NoRoots);
        std::fs::write(&path, leaf).unwrap();
        let refused = of("scim.example.com", roots());
        assert!(
            matches!(&refused, ChainTrust::Refused(why) if why.contains("CA that this machine trusts")),
            "{refused:?}"
        );
    }
}
