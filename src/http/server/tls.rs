//! Certificate and key: loaded from PEM files, or made when there are none.
//!
//! TLS 1.2 and 1.3 through aws-lc-rs, ALPN `http/1.1` only, no client certificates, no early data
//! (it can be replayed). Sessions resume by ticket: identity providers open many short connections.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ServerConfig;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::validity::Validity;

/// The longest that browsers and Apple's libraries accept.
const VALID_FOR: Duration = Duration::from_secs(825 * 24 * 60 * 60);

/// A name that every self-signed certificate has.
const LOCALHOST: &str = "localhost";

/// The whole name of every self-signed certificate, as it stands in DER: its common name is `scimd`.
const OWN_NAME: &[u8] = b"\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x0c\x05scimd";

/// Clocks differ: a certificate is valid a little before it is made.
const VALID_BEFORE_SECONDS: i64 = 60 * 60;

/// What the door shows to clients. Cloning is cheap and shares sessions and ticket keys.
#[derive(Clone)]
pub struct TlsConfig {
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
}

impl TlsConfig {
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Until when the certificate is valid, if that can be read.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }
}

/// Why there is no TLS; each says which file, and what to do about it.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message says what its variant and fields are")]
pub enum TlsError {
    #[error("cannot read {path}: {reason}; check the path, and that this user may read it")]
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
        "the certificate in {path} was valid until {until}; put a newer one in its place, or, if scimd made it, remove it and its key to have both made anew"
    )]
    Expired { path: PathBuf, until: Timestamp },
    #[error(
        "the certificate in {path} is not valid before {from}; check this machine's clock, or give one that is valid now"
    )]
    NotYetValid { path: PathBuf, from: Timestamp },
    #[error(
        "the certificate in {path}, which scimd signed itself, is damaged: {reason}; put a copy of it back, or remove it and its key to have both made anew, and give the new one to the clients that trust it"
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "others may read the private key {path} (mode {mode:03o}); run `chmod 600 {path}`, and replace the key if somebody may have read it (a key that belongs to root may be readable by a group: 640)"
    )]
    OpenKey { path: PathBuf, mode: u32 },
    #[error(
        "{present} is there but {missing} is not; put the missing file back, or remove the other one to have both made anew"
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

/// Loads a certificate chain (leaf first) and its private key from PEM files.
///
/// # Errors
///
/// When a file is missing or holds something else, or the two do not belong together.
pub fn load(cert_pem: &Path, key_pem: &Path) -> Result<TlsConfig, TlsError> {
    let chain = certificates(cert_pem)?;
    let leaf = chain.first().and_then(|leaf| Validity::of(leaf));
    let not_after = leaf.map(|validity| validity.not_after);
    let key = PrivateKeyDer::from_pem_slice(&read(key_pem)?)
        .map_err(|_| TlsError::NoPrivateKey { path: key_pem.to_owned() })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    // The key is looked at alone first, so that an error can tell which file is at fault.
    if provider.key_provider.load_private_key(key.clone_key()).is_err() {
        return Err(TlsError::BadPrivateKey { path: key_pem.to_owned() });
    }
    let setup = |reason| TlsError::Setup { path: cert_pem.to_owned(), reason };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(setup)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|reason| {
            if matches!(reason, rustls::Error::InconsistentKeys(_)) {
                TlsError::Mismatch { certificate: cert_pem.to_owned(), key: key_pem.to_owned() }
            } else if let rustls::Error::InvalidCertificate(reason) = reason {
                TlsError::BadCertificate {
                    path: cert_pem.to_owned(),
                    reason: format!("{reason:?}"),
                }
            } else {
                setup(reason)
            }
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(setup)?;
    Ok(TlsConfig { config: Arc::new(config), not_after })
}

/// From when to when the certificate in a PEM file is valid, which it must be at present.
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

/// Insists that a certificate which scimd made is as it was made: no client trusts it otherwise. Others, which
/// an operator may have put in its place, are not looked at.
///
/// # Errors
///
/// [`TlsError::Damaged`], or that the file holds no certificate.
pub fn insist_on_own_signature(
    cert_pem: &Path,
    Validity { not_before, .. }: Validity,
) -> Result<(), TlsError> {
    let path = || cert_pem.to_owned();
    let chain = certificates(cert_pem)?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate { path: path() })?;
    // It stands there twice, as subject and as issuer: damage spares one of them.
    if !leaf.windows(OWN_NAME.len()).any(|window| window == OWN_NAME) {
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

/// Insists that nobody but its owner may read a private key. One that belongs to root may be readable by a
/// group, which is how a key is shared between services.
///
/// # Errors
///
/// [`TlsError::OpenKey`], or [`TlsError::Read`] if the file can't be looked at.
pub fn insist_on_private(key_pem: &Path) -> Result<(), TlsError> {
    let found = std::fs::metadata(key_pem)
        .map_err(|reason| TlsError::Read { path: key_pem.to_owned(), reason })?;
    let mode = found.mode() & 0o777;
    let forbidden = if found.uid() == 0 { 0o037 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(TlsError::OpenKey { path: key_pem.to_owned(), mode });
    }
    Ok(())
}

/// The file name of a self-signed certificate.
pub const SELF_SIGNED: &str = "cert.pem";

/// The paths of `cert.pem` and `key.pem` in `dir`, and whether they were made by this call.
///
/// A new certificate is its own issuer. It names `hosts` and the loopback names and addresses,
/// and is valid for 825 days from an hour before `not_before_unix` (seconds, the present time).
/// The folder gets mode 0700 if it is made, the key 0600. The certificate is put in place last: if there
/// is a key alone, a start was cut short, and the certificate is made for that key.
///
/// # Errors
///
/// When the certificate exists without its key, a host cannot be named, or writing fails.
pub fn ensure_self_signed(
    dir: &Path,
    hosts: &[String],
    not_before_unix: i64,
) -> Result<(PathBuf, PathBuf, bool), TlsError> {
    let (cert, key) = (dir.join(SELF_SIGNED), dir.join("key.pem"));
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
        Sha256::digest(leaf.as_ref()).iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(pairs.join(":"))
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain =
        CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>().map_err(
            |reason| TlsError::BadCertificate { path: path.to_owned(), reason: reason.to_string() },
        )?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|reason| TlsError::Read { path: path.to_owned(), reason })
}

fn exists(path: &Path) -> Result<bool, TlsError> {
    path.try_exists().map_err(|reason| TlsError::Read { path: path.to_owned(), reason })
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
    params.distinguished_name.push(DnType::CommonName, "scimd");
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
    use std::process::Command;
    use std::time::UNIX_EPOCH;

    use super::super::harness::{Running, limits};
    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("scimd-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// The present time, as the file system knows it.
        fn now(&self) -> i64 {
            let modified = std::fs::metadata(&self.0).unwrap().modified().unwrap();
            modified.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
        }

        fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
            let (cert, key, created) =
                ensure_self_signed(&self.0.join(name), &[], self.now()).unwrap();
            assert!(created);
            (cert, key)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn output(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn error(result: Result<TlsConfig, TlsError>) -> String {
        result.err().expect("an error").to_string()
    }

    #[test]
    fn a_key_that_a_start_left_alone_gets_its_certificate() {
        let folder = Folder::new("tls-alone");
        let (cert, key) = folder.pair("one");
        let kept = std::fs::read(&key).unwrap();
        std::fs::remove_file(&cert).unwrap();
        assert_eq!(folder.pair("one"), (cert.clone(), key.clone()));
        assert_eq!(std::fs::read(&key).unwrap(), kept);
        assert!(load(&cert, &key).is_ok());
    }

    #[test]
    fn the_pair_is_made_once_with_safe_modes_and_the_names_given() {
        let folder = Folder::new("made");
        let dir = folder.0.join("data/tls");
        let hosts = ["SCIM.example.org", "localhost", "10.1.2.3", "[fd00::1]", "scim.example.org"];
        let hosts = hosts.map(str::to_owned);
        let (cert, key, created) = ensure_self_signed(&dir, &hosts, folder.now()).unwrap();
        assert!(created);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&key)), (0o700, 0o600));
        let first = std::fs::read(&cert).unwrap();
        let again = ensure_self_signed(&dir, &hosts, folder.now()).unwrap();
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
            load(&cert, &key)?;
            insist_on_own_signature(&cert, validity(&cert, now)?)
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
            (load(&folder.0.join("none.pem"), &key), "none.pem", "cannot read"),
            (load(&cert, &folder.0.join("none.pem")), "none.pem", "cannot read"),
            (load(&text, &key), "text.pem", "holds no certificate"),
            (load(&key, &key), "key.pem", "holds no certificate"),
            (load(&damaged, &key), "damaged.pem", "damaged"),
            (load(&cert, &text), "text.pem", "no private key"),
            (load(&cert, &other_key), "two/key.pem", "does not belong"),
        ] {
            let message = error(result);
            assert!(message.contains(file) && message.contains(says), "{message}");
        }

        std::fs::remove_file(&other_key).unwrap();
        let half = ensure_self_signed(&folder.0.join("two"), &[], 0).unwrap_err().to_string();
        assert!(half.contains("two/key.pem is not"), "{half}");
        let host = ensure_self_signed(&folder.0.join("three"), &["a b".to_owned()], 0);
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
