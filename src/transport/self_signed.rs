//! The self-signed certificate: made when there is none, and checked for damage.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{DnsName, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::pem::{TlsError, certificates, read};
use super::validity::Validity;

/// The file name of the certificate.
pub const CERTIFICATE_FILE: &str = "cert.pem";
/// The file name of its private key.
pub const KEY_FILE: &str = "key.pem";

/// The longest validity that browsers and Apple's libraries accept.
const VALID_FOR: Duration = Duration::from_secs(825 * 24 * 60 * 60);

/// Clocks differ: a certificate is valid a little before it is made.
const VALID_BEFORE_SECONDS: i64 = 60 * 60;

/// A host name that every self-signed certificate has.
const LOCALHOST: &str = "localhost";

/// The common name of every self-signed certificate; it has no other part of a name.
const COMMON_NAME: &str = "scimd";

/// Returns the paths of certificate and key in `dir`, and whether this call made them.
///
/// A new certificate is its own issuer. It names `hosts` and the loopback names and addresses,
/// and is valid for 825 days from an hour before `not_before_unix` (seconds, the present time).
/// The folder gets mode 0700 if it is made, the key 0600. The certificate is put in place last: if there
/// is a key alone, a start was cut short, and the certificate is made for that key.
///
/// # Errors
///
/// When the certificate exists without its key, a host cannot be named, or writing fails.
pub fn ensure(
    dir: &Path,
    hosts: &[String],
    not_before_unix: i64,
) -> Result<(PathBuf, PathBuf, bool), TlsError> {
    let (cert, key) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
    let has_key = match (exists(&cert)?, exists(&key)?) {
        (true, true) => return Ok((cert, key, false)),
        (true, false) => return Err(TlsError::HalfPair { present: cert, missing: key }),
        (false, has_key) => has_key,
    };
    let names = alternative_names(hosts)?;
    let pair = if has_key {
        KeyPair::from_pem(&String::from_utf8_lossy(&read(&key)?))
    } else {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
    };
    let made = pair.and_then(|pair| Ok((self_signed(&pair, names, not_before_unix)?, pair)));
    let (cert_text, pair) =
        made.map_err(|reason| TlsError::Create { path: cert.clone(), reason })?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|reason| TlsError::Write { path: dir.to_owned(), reason })?;
    let key_file = (!has_key).then(|| (&key, pair.serialize_pem(), 0o600));
    for (path, text, mode) in key_file.into_iter().chain([(&cert, cert_text, 0o644)]) {
        write_durably(path, text.as_bytes(), mode)
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(|reason| TlsError::Write { path: path.clone(), reason })?;
    }
    Ok((cert, key, true))
}

/// Checks that a certificate which scimd made is undamaged: clients trust exactly this one. A certificate of
/// another origin, which an operator may have put in its place, is not checked.
///
/// # Errors
///
/// [`TlsError::Damaged`], or that the file holds no certificate.
pub fn check_undamaged(
    cert_pem: &Path,
    Validity { not_before, .. }: Validity,
) -> Result<(), TlsError> {
    let path = || cert_pem.to_owned();
    let chain = certificates(cert_pem)?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate { path: path() })?;
    if !is_own(leaf) {
        return Ok(());
    }
    let damaged = |reason: String| TlsError::Damaged { path: path(), reason };
    let mut roots = RootCertStore::empty();
    roots.add(leaf.clone()).map_err(|error| damaged(error.to_string()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| damaged(error.to_string()))?;
    let at = Duration::from_secs(u64::try_from(not_before.as_second()).unwrap_or_default());
    let name = ServerName::try_from(LOCALHOST).map_err(|error| damaged(error.to_string()))?;
    verifier
        .verify_server_cert(leaf, &[], &name, &[], UnixTime::since_unix_epoch(at))
        .map_err(|error| damaged(error.to_string()))?;
    Ok(())
}

fn exists(path: &Path) -> Result<bool, TlsError> {
    path.try_exists().map_err(|reason| TlsError::Read { path: path.to_owned(), reason })
}

/// Whether scimd made a certificate. Its name is both subject and issuer: damage spares one of them.
fn is_own(certificate: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else { return false };
    let certificate = certificate.tbs_certificate();
    let own = format!("CN={COMMON_NAME}");
    [certificate.subject(), certificate.issuer()].iter().any(|name| name.to_string() == own)
}

/// What the certificate is for: the given hosts and this machine itself, each once.
fn alternative_names(hosts: &[String]) -> Result<Vec<SanType>, TlsError> {
    let mut names = BTreeSet::from([LOCALHOST.to_owned()]);
    let mut addresses =
        BTreeSet::from([IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)]);
    for host in hosts {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse() {
            addresses.insert(address);
        } else if DnsName::try_from(host.as_str()).is_ok() {
            names.insert(host.to_ascii_lowercase());
        } else {
            return Err(TlsError::Host { host: host.clone() });
        }
    }
    let names = names.into_iter().map(|name| {
        let text = name.as_str().try_into().map_err(|_| TlsError::Host { host: name.clone() })?;
        Ok(SanType::DnsName(text))
    });
    names.chain(addresses.into_iter().map(|address| Ok(SanType::IpAddress(address)))).collect()
}

/// A certificate for a key, as PEM.
///
/// It is no authority: clients that trust it as a root accept it as the server's own, and
/// nothing else can be signed with it.
fn self_signed(key: &KeyPair, names: Vec<SanType>, unix: i64) -> Result<String, rcgen::Error> {
    let start = u64::try_from(unix.saturating_sub(VALID_BEFORE_SECONDS)).unwrap_or(0);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params.subject_alt_names = names;
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(start);
    // Both ends count as valid.
    params.not_after = params.not_before + (VALID_FOR - Duration::from_secs(1));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.self_signed(key)?.pem())
}

/// Writes a new file under a temporary name, syncs it and renames it.
fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("pem.tmp");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::Timestamp;

    use super::super::ClientCas;
    use super::super::harness::{Folder, output};
    use super::super::tls::{fingerprint, load, validity};
    use super::*;

    #[test]
    fn a_key_that_a_start_left_alone_gets_its_certificate() {
        let folder = Folder::new("tls-alone");
        let (cert, key) = folder.pair("one");
        let kept = std::fs::read(&key).unwrap();
        std::fs::remove_file(&cert).unwrap();
        assert_eq!(folder.pair("one"), (cert.clone(), key.clone()));
        assert_eq!(std::fs::read(&key).unwrap(), kept);
        assert!(load(&cert, &key, ClientCas::default()).is_ok());
    }

    #[test]
    fn the_pair_is_made_once_with_safe_modes_and_the_names_given() {
        let folder = Folder::new("made");
        let dir = folder.0.join("data/tls");
        let hosts = ["SCIM.example.org", "localhost", "10.1.2.3", "[fd00::1]", "scim.example.org"];
        let hosts = hosts.map(str::to_owned);
        let (cert, key, created) = ensure(&dir, &hosts, folder.now()).unwrap();
        assert!(created);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&key)), (0o700, 0o600));
        let first = std::fs::read(&cert).unwrap();
        let again = ensure(&dir, &hosts, folder.now()).unwrap();
        assert_eq!(again, (cert.clone(), key.clone(), false));
        assert_eq!(std::fs::read(&cert).unwrap(), first);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "no temporary file stays");

        let file = cert.to_str().unwrap();
        let text = output("openssl", &["x509", "-in", file, "-noout", "-text"]);
        let names = "DNS:localhost, DNS:scim.example.org, IP Address:10.1.2.3, \
                     IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:FD00:0:0:0:0:0:0:1";
        let found = text.lines().find(|line| line.contains("DNS:")).unwrap_or_default();
        assert_eq!(
            found.trim().split(", ").collect::<BTreeSet<_>>(),
            names.split(", ").collect::<BTreeSet<_>>()
        );
        assert!(text.contains("CN = scimd") && text.contains("P-256"), "{text}");
        let shown = output("openssl", &["x509", "-in", file, "-noout", "-fingerprint", "-sha256"]);
        assert_eq!(shown.trim().split_once('=').unwrap().1, fingerprint(&cert).unwrap());
    }

    #[test]
    fn no_bit_of_a_self_signed_certificate_may_change() {
        let folder = Folder::new("tls-bits");
        let (cert, key) = folder.pair("pair");
        let now = Timestamp::from_second(folder.now()).unwrap();
        let whole = std::fs::read(&cert).unwrap();
        let leaf = certificates(&cert).unwrap();
        let usable = || {
            load(&cert, &key, ClientCas::default())?;
            check_undamaged(&cert, validity(&cert, now)?)
        };
        usable().unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&cert, &damaged).unwrap();
            // Some stand in no certificate: in a line end, or in what follows the base64.
            let same = certificates(&cert).is_ok_and(|read| read == leaf);
            assert_eq!(usable().is_ok(), same, "bit {bit}");
        }
    }
}
