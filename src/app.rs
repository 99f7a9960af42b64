//! The one place where parts are joined.

mod keeper;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::{self, Catalogue};
use crate::admin::Site;
use crate::admin::socket::AdminSocket;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Limits, Store};
use crate::directory::{self, Directory, Settings};
use crate::http::Door;
use crate::http::monitor::Monitor;
use crate::http::server::{self, Drained, TlsConfig, tls};
use crate::scim::schema::Registry;
use crate::store::check::Check;
use crate::store::folder::DataFolder;
use crate::store::inspect::Inspection;
use crate::store::local::{Limits as StoreLimits, LocalStore};

/// The folder of the self-signed certificate, in the data folder.
const TLS: &str = "tls";

/// How long whoever asks for metrics may take for what they do.
const METRICS_PATIENCE: Duration = Duration::from_secs(10);

/// What resources may say: the access catalogue and the resource types, as the configuration has them.
///
/// # Errors
///
/// Schemas that can't be added, each with its line.
pub fn vocabulary(config: &Config) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    let file = config.file.clone().unwrap_or_default();
    let registry = Registry::with(&config.schemas)
        .map_err(|problems| ConfigError::Invalid { file, problems })?;
    let catalogue = Arc::new(Catalogue::new(config));
    let registry = registry.map(|resource_type| access::install(resource_type, &catalogue));
    Ok((catalogue, registry))
}

/// Opens the directory in the configured data folder.
///
/// # Errors
///
/// The folder can't be used or is in use; the journal is damaged.
pub fn open_directory(config: &Config) -> Result<Directory> {
    let clock = Clock::System;
    let folder = DataFolder::open(&config.data_dir)?;
    let Store { cache_mib, min_free_mib, .. } = config.store;
    let limits = StoreLimits { cache_mib, min_free_mib };
    let store = LocalStore::open(folder, limits, new_identity()?, clock.now())
        .context("can't open the data folder")?;
    let (catalogue, registry) = vocabulary(config)?;
    let settings = Settings {
        registry: Arc::new(registry),
        catalogue,
        clock,
        max_resource_bytes: config.limits.max_resource_bytes,
        max_scan: config.limits.max_scan,
        max_search_time: config.limits.request_timeout,
    };
    Ok(Directory::open(Arc::new(store), settings)?)
}

/// Checks the data folder without altering what is in it; no server may be using it.
///
/// # Errors
///
/// There is no such folder, or it is in use.
pub fn verify(config: &Config) -> Result<Vec<Check>> {
    if !config.data_dir.exists() {
        bail!("there is no data folder {}; check data_dir", config.data_dir.display());
    }
    let folder = DataFolder::open(&config.data_dir)?;
    Ok(match Inspection::open(folder, config.store.cache_mib) {
        Ok(inspection) => {
            let mut checks = inspection.checks().to_vec();
            checks.extend(directory::verify(&inspection, &vocabulary(config)?.1));
            checks
        }
        Err(checks) => checks,
    })
}

/// What a new journal is told from any other by.
///
/// # Errors
///
/// The operating system gives no randomness.
pub fn new_identity() -> Result<[u8; 16]> {
    let mut identity = [0; 16];
    SysRng.try_fill_bytes(&mut identity).context("the operating system gives no randomness")?;
    Ok(identity)
}

/// The certificate and key that are served.
pub struct Certificate {
    /// The PEM file of the certificate.
    pub path: PathBuf,
    /// Whether scimd made it itself.
    pub self_signed: bool,
    tls: TlsConfig,
}

impl Certificate {
    /// SHA-256 of the certificate, as browsers and openssl show it.
    ///
    /// # Errors
    ///
    /// The file can't be read any more.
    pub fn fingerprint(&self) -> Result<String> {
        Ok(tls::fingerprint(&self.path)?)
    }
}

/// Loads the configured certificate, or makes a self-signed one; `None` if TLS is off.
///
/// # Errors
///
/// Files that are missing, wrong, or do not belong together.
pub fn certificate(config: &Config) -> Result<Option<Certificate>> {
    if !config.listen.tls {
        return Ok(None);
    }
    if let (Some(path), Some(key)) = (&config.listen.certificate, &config.listen.private_key) {
        let tls = tls::load(path, key)?;
        return Ok(Some(Certificate { path: path.clone(), self_signed: false, tls }));
    }
    let folder = config.data_dir.join(TLS);
    let hosts = [config.public_url.host().to_owned()];
    let (path, key, created) =
        tls::ensure_self_signed(&folder, &hosts, Clock::System.now().as_second())?;
    if created {
        tracing::info!(certificate = %path.display(), "made a self-signed certificate");
    }
    let tls = tls::load(&path, &key)?;
    Ok(Some(Certificate { path, self_signed: true, tls }))
}

/// Where the self-signed certificate is, or will be, if clients are shown that one: not where the
/// configuration names one, and not where a proxy stands in front.
pub fn self_signed(config: &Config) -> Option<PathBuf> {
    let listen = &config.listen;
    let shown = listen.tls && listen.certificate.is_none() && listen.trusted_proxies.is_empty();
    shown.then(|| config.data_dir.join(TLS).join(tls::SELF_SIGNED))
}

/// Serves until SIGTERM or SIGINT; `ready` is called once requests are taken.
///
/// # Errors
///
/// The address or the admin socket can't be listened on.
pub fn serve(
    config: &Config,
    directory: Directory,
    certificate: Option<&Certificate>,
    ready: impl FnOnce(&Directory) -> Result<()>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let directory = Arc::new(directory);
    runtime.block_on(run(config, Arc::clone(&directory), certificate, ready))?;
    // What is still running holds the directory; it ends with the runtime, and then the directory
    // is closed in order.
    drop(runtime);
    drop(directory);
    tracing::info!("stopped");
    Ok(())
}

async fn run(
    config: &Config,
    directory: Arc<Directory>,
    certificate: Option<&Certificate>,
    ready: impl FnOnce(&Directory) -> Result<()>,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let listener = bind(config.listen.address).await?;
    let metrics = match config.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let socket = AdminSocket::bind(&config.data_dir)?;

    let door = Arc::new(Door::new(Arc::clone(&directory), config, boot_name()));
    tracing::info!(
        address = %listener.local_addr()?, endpoint = endpoint(config), "listening"
    );
    // Only now, when nothing can keep us from serving: a token that is made is shown.
    tokio::task::block_in_place(|| ready(&directory))?;
    for name in config.connections.keys() {
        if directory.valid_tokens(name).is_empty() {
            tracing::warn!(
                connection = name,
                "there is no valid token: all its requests are refused; run `scimd token generate --connection {name}`"
            );
        }
    }

    let stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: answering open requests, then stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: answering open requests, then stopping"),
        }
    };
    let tls = certificate.map(|certificate| certificate.tls.clone());
    let shown = certificate.map(|certificate| certificate.path.clone());
    let monitor = Monitor::new(Arc::clone(&door), Clock::System.now(), shown);
    let drained = tokio::select! {
        drained = server::serve(
            listener, tls, server_limits(&config.limits), Arc::clone(&door), stop
        ) => drained,
        () = door.keep_telling() => Drained::Complete,
        () = tell_metrics(metrics, monitor) => Drained::Complete,
        () = socket.serve(Arc::clone(&directory), site(config)) => Drained::Complete,
        () = keeper::keep(Arc::clone(&directory), config.store.clone()) => Drained::Complete,
    };
    door.tell_rest();
    if let Drained::Cut(connections) = drained {
        tracing::warn!(connections, "some connections did not end in time and were cut");
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}; is it taken, or not this machine's?"))
}

/// Tells whoever asks how the server is doing, until dropped; for ever in silence without a listener.
async fn tell_metrics(listener: Option<TcpListener>, monitor: Arc<Monitor>) {
    if let Some(listener) = listener {
        let limits = server::Limits {
            max_connections: 32,
            max_connections_per_address: 32,
            handshake_timeout: METRICS_PATIENCE,
            header_timeout: METRICS_PATIENCE,
            // Longer than from one look to the next.
            idle_timeout: METRICS_PATIENCE * 12,
            write_timeout: METRICS_PATIENCE,
            drain_timeout: METRICS_PATIENCE,
            max_header_bytes: 8192,
        };
        let never = std::future::pending();
        let _ = server::serve(listener, None, limits, Arc::new(monitor), never).await;
    }
    std::future::pending::<()>().await;
}

/// What commands need of the configuration.
pub fn site(config: &Config) -> Site {
    Site { connections: config.connections.keys().cloned().collect(), base_url: endpoint(config) }
}

/// The URL that is told to identity providers.
pub fn endpoint(config: &Config) -> String {
    format!("{}{}", config.public_url.as_str(), crate::http::BASE_PATH)
}

fn server_limits(limits: &Limits) -> server::Limits {
    server::Limits {
        max_connections: limits.max_connections,
        max_connections_per_address: limits.max_connections_per_address,
        handshake_timeout: limits.handshake_timeout,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        write_timeout: limits.request_timeout,
        drain_timeout: limits.drain_timeout,
        max_header_bytes: limits.max_header_bytes,
    }
}

/// A short name for this start of the process.
fn boot_name() -> String {
    let mut bytes = [0; 4];
    // Without randomness, request ids may repeat between starts: no reason not to start.
    let _ = SysRng.try_fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
