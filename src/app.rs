//! The one place where parts are joined.

mod certificate;
mod expiry_warnings;
mod maintenance_task;
mod reload;
mod supervisor;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use certificate::{Certificate, certificate, self_signed};
pub use supervisor::{Patience, passed_socket};

use crate::access::{self, Catalogue, Names};
use crate::admin::socket::AdminSocket;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Limits, Store};
use crate::directory::{self, Directory, Settings};
use crate::http::ScimService;
use crate::http::metrics::MetricsService;
use crate::http::server::{self, Drained};
use crate::log::Position;
use crate::log::local::LogFiles;
use crate::logging::LevelSwitch;
use crate::operator::audit::AuditVerification;
use crate::operator::{OperatorContext, SiteInfo};
use crate::scim::schema::Registry;
use crate::store::check::Check;
use crate::store::folder::DataFolder;
use crate::store::inspect::Inspection;
use crate::store::local::{LocalStore, StoreLimits};
use reload::{LiveConfig, Reloader};

/// How long whoever asks for metrics may take for what they do.
const METRICS_PATIENCE: Duration = Duration::from_secs(10);

/// What resources may say: the access catalogue and the resource types, as the configuration has them.
///
/// # Errors
///
/// Schemas that can't be added, each with its line.
pub fn vocabulary(config: &Config) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    speak(config, Catalogue::new(config))
}

fn speak(config: &Config, catalogue: Catalogue) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    let file = config.file.clone().unwrap_or_default();
    let registry = Registry::with(&config.schemas)
        .map_err(|problems| ConfigError::Invalid { file, problems })?;
    let catalogue = Arc::new(catalogue);
    let registry = registry.map(|resource_type| access::install(resource_type, &catalogue));
    Ok((catalogue, registry))
}

/// The database's page cache where no state is held in memory.
const READING_CACHE_MIB: u32 = 64;

/// What the directory works by under a configuration. `former` names are understood as well, for the time
/// in which accounts still have them.
fn settings(config: &Config, former: Option<&Names>) -> Result<Settings, ConfigError> {
    let catalogue = Catalogue::new(config);
    let catalogue = match former {
        Some(former) => catalogue.remembering(former),
        None => catalogue,
    };
    let (catalogue, registry) = speak(config, catalogue)?;
    let brakes = config.connections.iter();
    let brakes = brakes.map(|(name, connection)| (name.clone(), connection.brake.clone()));
    Ok(Settings {
        registry: Arc::new(registry),
        catalogue,
        brakes: Arc::new(brakes.collect()),
        clock: Clock::System,
        max_resource_bytes: config.limits.max_resource_bytes,
        max_scan: config.limits.max_scan,
        max_search_time: config.limits.request_timeout,
    })
}

/// Opens the directory in the configured data folder, of which so many mebibytes will be held in memory
/// at most.
///
/// # Errors
///
/// The folder can't be used or is in use; the journal is damaged.
pub fn open_directory(config: &Config, memory_mib: u32) -> Result<Directory> {
    let folder = DataFolder::open(&config.data_dir)?;
    let Store { min_free_mib, .. } = config.store;
    let cache_mib = cache(config, memory_mib);
    let limits = StoreLimits { cache_mib, memory_mib, min_free_mib };
    let store = LocalStore::open(folder, limits, new_identity()?, Clock::System.now())
        .context("can't open the data folder")?;
    Ok(Directory::open(Arc::new(store), settings(config, None)?)?)
}

/// How many mebibytes the database may have as its page cache; enough to be read, if it is.
fn cache(config: &Config, memory_mib: u32) -> u32 {
    let least = if memory_mib == 0 { READING_CACHE_MIB } else { 0 };
    config.store.cache_mib.max(least)
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
    Ok(match Inspection::open(folder, cache(config, 0)) {
        Ok(inspection) => {
            let mut checks = inspection.checks().to_vec();
            checks.extend(directory::verify(&inspection, &vocabulary(config)?.1));
            checks
        }
        Err(checks) => checks,
    })
}

/// The audit trail in the data folder, for reading; no server need be stopped for it.
///
/// # Errors
///
/// There is none, or the end of it is damaged.
pub fn trail(config: &Config) -> Result<LogFiles> {
    Ok(LogFiles::inspect(&journal(config)?)?.0)
}

/// Checks the chain of the audit trail in the data folder, which no server may be using.
///
/// # Errors
///
/// There is none, or the folder is in use.
pub fn verify_trail(config: &Config, anchors: &[Position]) -> Result<AuditVerification> {
    let journal = journal(config)?;
    let _folder = DataFolder::open(&config.data_dir)?;
    let mut verified = AuditVerification::default();
    match LogFiles::check_folder(&journal, anchors, &mut |error| verified.fault(&error)) {
        Ok(checked) => verified = verified.read(&checked),
        Err(error) => verified.fault(&error),
    }
    Ok(verified)
}

fn journal(config: &Config) -> Result<PathBuf> {
    let journal = config.data_dir.join("journal");
    if !journal.exists() {
        bail!("there is no audit trail in {}; check data_dir", config.data_dir.display());
    }
    Ok(journal)
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

/// What is served, and where.
pub struct Serving {
    /// The configuration at the start.
    pub config: Config,
    /// The directory, in line with it.
    pub directory: Directory,
    /// The certificate; `None` for plain text.
    pub certificate: Option<Certificate>,
    /// A socket to serve instead of one that is bound here.
    pub socket: Option<std::net::TcpListener>,
    /// How much is logged.
    pub levels: LevelSwitch,
}

/// What serving runs in.
pub struct Host {
    runtime: Runtime,
    hangup: Signal,
}

impl Host {
    /// Made before anything that takes time: from here on SIGHUP no longer ends the process, but is a reload
    /// once it serves.
    ///
    /// # Errors
    ///
    /// The operating system gives no threads, or takes no handler.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("can't start the runtime")?;
        let entered = runtime.enter();
        let hangup = signal(SignalKind::hangup()).context("can't wait for SIGHUP")?;
        drop(entered);
        Ok(Self { runtime, hangup })
    }
}

/// Serves until SIGTERM or SIGINT; `ready` is called once nothing can keep requests from being taken.
///
/// # Errors
///
/// The address or the admin socket can't be listened on.
pub fn serve(
    host: Host,
    serving: Serving,
    ready: impl FnOnce(&Config, &Directory, Option<&Certificate>) -> Result<()>,
) -> Result<()> {
    let Host { runtime, hangup } = host;
    runtime.block_on(run(serving, hangup, ready))?;
    // What is still running holds the directory; it ends with the runtime, and the directory is closed
    // in order by whoever lets go of it last.
    drop(runtime);
    tracing::info!("stopped");
    Ok(())
}

async fn run(
    serving: Serving,
    hangup: Signal,
    ready: impl FnOnce(&Config, &Directory, Option<&Certificate>) -> Result<()>,
) -> Result<()> {
    let Serving { config, directory, certificate, socket, levels } = serving;
    let directory = Arc::new(directory);
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let listener = listen(&config, socket).await?;
    let address = listener.local_addr()?;
    let metrics = match config.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let admin = AdminSocket::bind(&config.data_dir)?;

    let tls = certificate.as_ref().map(|certificate| certificate.tls.clone());
    let terms = server::ListenerConfig { tls, limits: server_limits(&config.limits) };
    let context = OperatorContext { directory: Arc::clone(&directory), site: site_info(&config) };
    let live = LiveConfig {
        door: Arc::new(ScimService::new(Arc::clone(&directory), &config, boot_name())),
        context: Arc::new(ArcSwap::from_pointee(context)),
        listener: Arc::new(ArcSwap::from_pointee(terms)),
    };
    tracing::info!(%address, endpoint = endpoint(&config), "listening");
    if let Some(certificate) = &certificate {
        certificate.tell("the certificate is shown");
    }
    // Only now, when nothing can keep us from serving: a token that is made is shown.
    tokio::task::block_in_place(|| ready(&config, &directory, certificate.as_ref()))?;
    tell_of_missing_tokens(&config, &directory);
    supervisor::ready(&format!("serving on {address}"));

    let stopping = Arc::new(AtomicBool::new(false));
    let reloader = Reloader {
        directory: Arc::clone(&directory),
        certificate,
        levels,
        live: live.clone(),
        stopping: Arc::clone(&stopping),
        config: config.clone(),
    };
    let stop = async {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        stopping.store(true, Ordering::Relaxed);
        live.door.begin_stop();
        tracing::info!("{signal}: answering open requests, then stopping");
        supervisor::stopping(live.listener.load().limits.drain_timeout);
    };
    let (listening, door) = (Arc::clone(&live.listener), Arc::clone(&live.door));
    let monitor =
        MetricsService::new(Arc::clone(&door), Clock::System.now(), Arc::clone(&listening));
    let drained = tokio::select! {
        drained = server::serve(listener, listening, Arc::clone(&door), stop) => drained,
        () = door.log_denials() => Drained::Complete,
        () = tell_metrics(metrics, monitor) => Drained::Complete,
        () = admin.serve(Arc::clone(&live.context)) => Drained::Complete,
        () = maintenance_task::run(Arc::clone(&directory), config.store.clone()) => Drained::Complete,
        () = reload::keep_up(reloader, hangup) => Drained::Complete,
        () = supervisor::feed(Arc::clone(&directory)) => Drained::Complete,
        () = expiry_warnings::run(live.context.clone(), live.listener.clone()) => Drained::Complete,
    };
    door.flush_denials();
    if let Drained::Cut(connections) = drained {
        tracing::warn!(connections, "some connections did not end in time and were cut");
    }
    Ok(())
}

/// Says in the log which connections can't be used yet.
fn tell_of_missing_tokens(config: &Config, directory: &Directory) {
    for name in config.connections.keys() {
        if directory.valid_tokens(name).is_empty() {
            tracing::warn!(
                connection = name,
                "there is no valid token: all its requests are refused; run `scimd token generate --connection {name}`"
            );
        }
    }
}

/// Listens on the configured address, or on the socket that was passed.
///
/// # Errors
///
/// The address can't be listened on; a socket that was passed would show plain text to the network.
async fn listen(config: &Config, socket: Option<std::net::TcpListener>) -> Result<TcpListener> {
    let address = config.listen.address;
    let Some(socket) = socket else {
        return bind(address).await;
    };
    let passed = socket.local_addr()?;
    if !config.listen.tls && !passed.ip().to_canonical().is_loopback() {
        bail!(
            "systemd passes a socket on {passed}, and listen.tls is false, which is allowed on a loopback \
             address only; remove `tls = false`, or change ListenStream= in the socket unit"
        );
    }
    if passed != address {
        tracing::info!(%passed, configured = %address, "the socket that systemd passes is served, not listen.address");
    }
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket)?)
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}; is it taken, or not this machine's?"))
}

/// Tells whoever asks how the server is doing, until dropped; for ever in silence without a listener.
async fn tell_metrics(listener: Option<TcpListener>, monitor: Arc<MetricsService>) {
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
        let terms = Arc::new(ArcSwap::from_pointee(server::ListenerConfig { tls: None, limits }));
        let _ = server::serve(listener, terms, Arc::new(monitor), never).await;
    }
    std::future::pending::<()>().await;
}

/// What commands need of the configuration.
pub fn site_info(config: &Config) -> SiteInfo {
    SiteInfo {
        connections: config.connections.keys().cloned().collect(),
        base_url: endpoint(config),
    }
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
    HEXLOWER.encode(&bytes)
}
