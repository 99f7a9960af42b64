//! The certificate of the server: found, checked, and read again when its files change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::config::Config;
use crate::transport::{ChainTrust, ClientCas, TlsConfig, TlsError, chain_trust, self_signed, tls};

/// The folder of the self-signed certificate, in the data folder.
const TLS: &str = "tls";
/// The time before expiry from which on the log warns of a certificate.
const NEAR_END: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What clients that trust the CAs of this machine make of a certificate.
pub enum CertificateTrust {
    /// They accept it.
    Trusted,
    /// They refuse it; why.
    Refused(String),
    /// This machine has no list of CAs.
    Unknown,
}

/// The certificate and key that are served.
#[derive(Clone)]
pub struct Certificate {
    /// The PEM file of the certificate.
    pub path: PathBuf,
    /// Whether it is the self-signed certificate that scimd creates.
    pub self_signed: bool,
    pub(super) tls: TlsConfig,
    /// The same, but clients are not asked for a certificate.
    pub(super) console_tls: TlsConfig,
    key: PathBuf,
    /// The PEM files with the CAs of clients, by connection.
    client_cas: BTreeMap<String, PathBuf>,
    /// The state of the files when they were read.
    stamps: Stamps,
    not_after: Timestamp,
}

/// The state of the files: inode, size and modification time; `None` for a file that does not exist.
pub(super) type Stamps = Vec<Option<(u64, u64, i64, i64)>>;

impl Certificate {
    /// SHA-256 of the certificate, as browsers and openssl show it.
    ///
    /// # Errors
    ///
    /// The file can't be read any more.
    pub fn fingerprint(&self) -> Result<String> {
        Ok(tls::fingerprint(&self.path)?)
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether clients accept it for a host.
    pub fn is_for(&self, host: &str) -> bool {
        tls::is_for(&self.path, host)
    }

    /// What its chain is worth to clients that trust the CAs of this machine and connect to a host.
    ///
    /// # Errors
    ///
    /// The file can't be read any more.
    pub fn trust(&self, host: &str) -> Result<CertificateTrust> {
        Ok(match chain_trust(&self.path, host, Clock::System.now())? {
            ChainTrust::Trusted => CertificateTrust::Trusted,
            ChainTrust::Refused(why) => CertificateTrust::Refused(why),
            ChainTrust::NoRoots => CertificateTrust::Unknown,
        })
    }

    /// The number of certificates in its file.
    pub fn chain_length(&self) -> usize {
        tls::chain_length(&self.path)
    }

    fn read(
        path: PathBuf,
        key: PathBuf,
        client_cas: BTreeMap<String, PathBuf>,
        self_signed: bool,
    ) -> Result<Self, TlsError> {
        // Before the files are read: what changes while they are shows at the next look.
        let stamps = stamps(&path, &key, &client_cas);
        let tls = tls::load(&path, &key, ClientCas::load(&client_cas)?)?;
        let console_tls = tls::load(&path, &key, ClientCas::default())?;
        let validity = tls::validity(&path, Clock::System.now())?;
        if self_signed {
            // The data folder keeps others from what is in it.
            self_signed::check_undamaged(&path, validity)?;
        } else {
            tls::check_key_mode(&key)?;
        }
        let not_after = validity.not_after;
        Ok(Self { path, self_signed, tls, console_tls, key, client_cas, stamps, not_after })
    }

    /// Reads the certificate again from its files.
    ///
    /// # Errors
    ///
    /// As for [`certificate`].
    pub(super) fn again(&self) -> Result<Self, TlsError> {
        let client_cas = self.client_cas.clone();
        Self::read(self.path.clone(), self.key.clone(), client_cas, self.self_signed)
    }

    /// The state of its files, if they have changed since they were read.
    pub(super) fn changed(&self) -> Option<Stamps> {
        let now = stamps(&self.path, &self.key, &self.client_cas);
        (now != self.stamps).then_some(now)
    }

    /// Whether both were read from the same files in the same state.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.is_in(&other.path, &other.key, &other.client_cas) && self.stamps == other.stamps
    }

    /// Whether it was read from these files.
    fn is_in(&self, path: &Path, key: &Path, client_cas: &BTreeMap<String, PathBuf>) -> bool {
        self.path == path && self.key == key && self.client_cas == *client_cas
    }

    /// Logs until when it is valid.
    pub(super) fn tell(&self, what: &str) {
        let (path, valid_until) = (self.path.display(), self.not_after);
        tracing::info!(certificate = %path, %valid_until, "{what}");
    }
}

fn stamps(path: &Path, key: &Path, client_cas: &BTreeMap<String, PathBuf>) -> Stamps {
    let files = [path, key].into_iter().chain(client_cas.values().map(PathBuf::as_path));
    let stamp = |file: &Path| {
        let found = fs::metadata(file).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    files.map(stamp).collect()
}

/// Loads the configured certificate, or makes a self-signed one, and the CAs of clients; `None` if nothing is served with TLS. One
/// that is in use and has not changed is kept.
///
/// # Errors
///
/// Files that are missing, wrong, readable by others, do not belong together, or are not valid now.
pub fn certificate(config: &Config, in_use: Option<&Certificate>) -> Result<Option<Certificate>> {
    if !config.listen.tls && !config.console.enabled {
        return Ok(None);
    }
    let configured = configured(config);
    let (path, key) = match configured.clone() {
        Some(files) => files,
        None => {
            let folder = config.data_dir.join(TLS);
            let hosts =
                [&config.public_url, &config.console.url()].map(|url| url.host().to_owned());
            let (path, key, created) =
                self_signed::ensure(&folder, &hosts, Clock::System.now().as_second())?;
            if created {
                tracing::info!(certificate = %path.display(), "created a self-signed certificate");
            }
            (path, key)
        }
    };
    let client_cas = client_cas(config);
    if let Some(certificate) = in_use
        && certificate.is_in(&path, &key, &client_cas)
        && certificate.changed().is_none()
    {
        return Ok(Some(certificate.clone()));
    }
    Ok(Some(Certificate::read(path, key, client_cas, configured.is_none())?))
}

/// The configured certificate and key.
fn configured(config: &Config) -> Option<(PathBuf, PathBuf)> {
    config.listen.certificate.clone().zip(config.listen.private_key.clone())
}

/// The files with the CAs of clients, by connection.
fn client_cas(config: &Config) -> BTreeMap<String, PathBuf> {
    let connections = config.connections.iter();
    connections
        .filter_map(|(name, connection)| Some((name.clone(), connection.client_ca.clone()?)))
        .collect()
}

/// Checks the certificate that a start would serve, and makes none; the warnings.
///
/// # Errors
///
/// As for [`certificate`].
pub(super) fn check_certificate(config: &Config) -> Result<Vec<String>> {
    if !config.listen.tls {
        return Ok(Vec::new());
    }
    let own = config.data_dir.join(TLS);
    let own = (own.join(self_signed::CERTIFICATE_FILE), own.join(self_signed::KEY_FILE));
    let given = configured(config);
    let self_signed = given.is_none();
    let (path, key) = given.unwrap_or(own);
    if self_signed && !path.exists() {
        // The start makes it.
        ClientCas::load(&client_cas(config))?;
        return Ok(Vec::new());
    }
    let certificate = Certificate::read(path, key, client_cas(config), self_signed)?;
    let shown = certificate.path.display();
    let mut warnings = Vec::new();
    if certificate.not_after.duration_since(Clock::System.now()) < NEAR_END {
        warnings.push(format!("certificate {shown} expires on {}", certificate.not_after));
    }
    let host = config.public_url.host();
    if config.listen.trusted_proxies.is_empty() && !tls::names(&certificate.path, host)? {
        warnings.push(format!(
            "certificate {shown} is not for {host}, the host of public_url; clients will reject it"
        ));
    }
    Ok(warnings)
}

/// Where the self-signed certificate is, or will be, if clients are shown that one: not where the
/// configuration names one, and not where a proxy stands in front.
pub fn self_signed(config: &Config) -> Option<PathBuf> {
    let listen = &config.listen;
    let shown = listen.tls && listen.certificate.is_none() && listen.trusted_proxies.is_empty();
    shown.then(|| config.data_dir.join(TLS).join(self_signed::CERTIFICATE_FILE))
}
