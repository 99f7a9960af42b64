//! The server: starts the parts, runs them until a signal, and stops them in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::capture;
use super::certificate::Certificate;
use super::console::Console;
use super::head_signatures::HeadSignatures;
use super::listen::{bind, listen, listener_tls, metrics_terms, serve_metrics, server_limits};
use super::notifications::{log_problems, notify_settings, tester};
use super::reload::{self, LiveConfig, Reloader};
use super::sandbox::Sandbox;
use super::settings::{endpoint, request_log_limits, site_info};
use super::webhooks::webhook_settings;
use super::{
    connection_files, credential_warnings, file_settings, grant_warnings, maintenance_task,
    process, supervisor, watch as alarms,
};
use crate::admin::socket::AdminSocket;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::feed::Feed;
use crate::http::ScimService;
use crate::http::metrics::{MetricsService, read_scrape_token};
use crate::logging::{LevelSwitch, LogFlusher};
use crate::metrics::Counter;
use crate::notify::Notifier;
use crate::operator::{ConsoleControl, OperatorContext, RunningServer, WebhookControl};
use crate::request_log::{self, RequestLog};
use crate::transport::{self, Drained, LocalListener};
use crate::webhook::Webhooks;

/// How long closing may take after the time for open requests is over. Writing the last lines of the log may take
/// another 2 seconds.
const CLOSING: Duration = Duration::from_millis(2_500);

/// What a server is made of.
pub struct ServerParts {
    /// The configuration at the start.
    pub config: Config,
    /// The directory, whose accounts follow that configuration.
    pub directory: Directory,
    /// The certificate; `None` if nothing is served with TLS.
    pub certificate: Option<Certificate>,
    /// A socket that systemd has passed; `None` to bind the configured address.
    pub socket: Option<std::net::TcpListener>,
    /// The sandbox that this process is in.
    pub sandbox: Sandbox,
    /// The log level, which a reload changes.
    pub levels: LevelSwitch,
    /// The number of log lines that were dropped, for the metrics.
    pub dropped_lines: Arc<Counter>,
    /// Writes the last lines of the log if the process has to end before all parts have.
    pub flusher: LogFlusher,
}

/// The asynchronous runtime of a server, and the signal that reloads it.
pub struct ServerRuntime {
    runtime: Runtime,
    hangup: Signal,
}

impl ServerRuntime {
    /// Starts the runtime. From here on SIGHUP no longer ends the process, but reloads the server once it
    /// runs, and signals without a meaning are ignored: so this comes before anything that takes time.
    ///
    /// # Errors
    ///
    /// The operating system refuses threads or the signal handler.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("can't start the runtime")?;
        let entered = runtime.enter();
        let hangup = signal(SignalKind::hangup()).context("can't wait for SIGHUP")?;
        // The handlers stay when this is dropped.
        process::ignore_meaningless_signals().context("can't ignore signals")?;
        drop(entered);
        Ok(Self { runtime, hangup })
    }
}

/// Serves until SIGTERM or SIGINT; `ready` is called once nothing can keep the server from accepting
/// requests.
///
/// # Errors
///
/// The address or the admin socket can't be listened on.
pub fn serve(
    ServerRuntime { runtime, hangup }: ServerRuntime,
    parts: ServerParts,
    ready: impl FnOnce(&Config, &OperatorContext, Option<&Certificate>) -> Result<()>,
) -> Result<()> {
    let signatures = HeadSignatures::open(&parts.config.data_dir, &parts.directory)?;
    runtime.block_on(run(parts, hangup, Arc::clone(&signatures), ready))?;
    // Tasks that still run hold the directory. They end with the runtime, and the last one to drop the
    // directory closes it in order.
    drop(runtime);
    signatures.sign();
    tracing::info!("stopped");
    Ok(())
}

async fn run(
    parts: ServerParts,
    hangup: Signal,
    signatures: Arc<HeadSignatures>,
    ready: impl FnOnce(&Config, &OperatorContext, Option<&Certificate>) -> Result<()>,
) -> Result<()> {
    let ServerParts {
        config,
        directory,
        certificate,
        socket,
        sandbox,
        levels,
        dropped_lines,
        flusher,
    } = parts;
    let directory = Arc::new(directory);
    let started = Clock::System.now();
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let listener = listen(&config, socket).await?;
    let address = listener.local_addr()?;
    let local = config.listen.unix.as_deref().map(LocalListener::bind).transpose()?;
    let metrics = match config.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let console = Console::start(&config, certificate.as_ref()).await?;
    let admin = AdminSocket::bind(&config.data_dir)?;

    let tls = listener_tls(&config, certificate.as_ref());
    if let Some(file) = config.metrics.token_file.as_ref().filter(|_| metrics.is_some()) {
        read_scrape_token(file)?;
    }
    let metrics_terms = Arc::new(ArcSwap::from_pointee(metrics_terms(&config, tls.as_ref())));
    let terms = transport::ListenerConfig { tls, limits: server_limits(&config) };
    let (configuration, jobs) = tokio::sync::mpsc::unbounded_channel();
    let requests = config.data_dir.join(request_log::FOLDER);
    let requests = RequestLog::start(requests, request_log_limits(&config));
    let requests = Arc::new(requests.context("can't start the request log")?);
    // Held until all else has ended: what was changed last gets its events.
    let feed = Arc::new(Feed::start(&directory, &config.data_dir)?);
    let door = ScimService::new(
        Arc::clone(&directory),
        Arc::clone(&feed),
        &config,
        boot_name(),
        Arc::clone(&requests),
    );
    let door = Arc::new(door);
    let (stats, consumers) = (Arc::clone(&door.connections), Arc::clone(&door));
    let (notifier, notifications) = Notifier::new(notify_settings(&config));
    log_problems(&config);
    let webhooks = Arc::new(Webhooks::new(Arc::clone(&directory), Arc::clone(&feed)));
    let to_deliver = webhook_settings(&config)?;
    let context = OperatorContext {
        directory: Arc::clone(&directory),
        site: site_info(&config, &directory),
        server: Some(RunningServer {
            requests,
            sign_ins: Arc::default(),
            feed: Arc::clone(&feed),
            newest_events: Arc::default(),
            consumers: Arc::new(move || consumers.event_consumers()),
            since: started,
            configuration,
            failed_handshakes: Arc::new(move || stats.handshakes_failed.value()),
            test_notifications: tester(&notifier),
            console: console
                .as_ref()
                .map(|console| Arc::clone(&console.links) as Arc<dyn ConsoleControl>),
            webhooks: Arc::clone(&webhooks) as Arc<dyn WebhookControl>,
        }),
    };
    let live = LiveConfig {
        door,
        context: Arc::new(ArcSwap::from_pointee(context)),
        listener: Arc::new(ArcSwap::from_pointee(terms)),
        metrics: Arc::clone(&metrics_terms),
        notifier: Arc::clone(&notifier),
        webhooks: Arc::clone(&webhooks),
        console: console
            .as_ref()
            .map(|console| (Arc::clone(&console.service), Arc::clone(&console.terms))),
    };
    if let Some(console) = &console {
        console.service.connect(Arc::clone(&live.context));
        let url = config.console.url();
        tracing::info!(address = %config.console.address, %url, "console enabled");
    }
    if let Some(path) = &config.listen.unix {
        tracing::info!(path = %path.display(), "accepting PROXY connections on a Unix socket");
    }
    tracing::info!(%address, endpoint = endpoint(&config), "listening");
    if let Some(certificate) = &certificate {
        certificate.tell("serving certificate");
    }
    if config.requests.bodies_for > Duration::ZERO
        && let Some(RunningServer { requests, .. }) = &live.context.load().server
    {
        tokio::task::block_in_place(|| capture::begin(&config, &directory, requests));
    }
    // What other nodes have changed since this one was last here.
    if !connection_files::pending(&directory, &config.data_dir)?.is_empty() {
        let reason = "connections that other nodes have changed are being taken over";
        directory.note_connections(Some(reason.to_owned()), None);
        directory.ring_connections();
    }
    sandbox.restrict_system_calls();
    // Only now, when nothing can keep us from serving: a token that is generated is shown once.
    tokio::task::block_in_place(|| ready(&config, &live.context.load(), certificate.as_ref()))?;
    credential_warnings::warn_of_missing_tokens(&config, &directory);
    grant_warnings::warn_of_missed_grants(&directory);
    supervisor::ready(&format!("serving on {address}"));
    webhooks.set(to_deliver);

    let stopping = Arc::new(AtomicBool::new(false));
    let (stop_console, console_stops) = watch::channel(false);
    let reloader = Reloader {
        directory: Arc::clone(&directory),
        certificate,
        levels,
        live: live.clone(),
        sandbox,
        stopping: Arc::clone(&stopping),
        told: (None, None),
        config: config.clone(),
    };
    let stop_context = Arc::clone(&live.context);
    let (stop_door, stop_limits) = (Arc::clone(&live.door), Arc::clone(&live.listener));
    let stop = async move {
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        stopping.store(true, Ordering::Relaxed);
        stop_console.send_replace(true);
        stop_door.begin_stop();
        // Commands that wait for changes are answered, and end.
        stop_context.load().directory.log().close();
        tracing::info!("{signal}: answering open requests, then stopping");
        let drain_timeout = stop_limits.load().limits.drain_timeout;
        supervisor::stopping(drain_timeout);
        process::end_after(drain_timeout + CLOSING, flusher);
    };
    let (listening, door) = (Arc::clone(&live.listener), Arc::clone(&live.door));
    let token_file = config.metrics.token_file.clone();
    let monitor = MetricsService::new(
        Arc::clone(&door),
        started,
        Arc::clone(&listening),
        dropped_lines,
        Arc::clone(&feed),
        Arc::clone(&webhooks) as Arc<dyn WebhookControl>,
        token_file,
    );
    // A task of its own: connections are accepted on the threads that serve them, and the branches below are not
    // polled for each.
    let clients =
        tokio::spawn(transport::serve(listener, local, listening, Arc::clone(&door), stop));
    let clients = async {
        clients.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    };
    let drained = tokio::select! {
        drained = drain(clients, console, console_stops) => drained,
        () = door.log_summaries() => Drained::Complete,
        () = serve_metrics(metrics, metrics_terms, monitor) => Drained::Complete,
        () = admin.serve(Arc::clone(&live.context)) => Drained::Complete,
        () = maintenance_task::run(Arc::clone(&directory), Arc::clone(&feed), Arc::clone(&webhooks), &config) => Drained::Complete,
        () = reload::keep_up(reloader, hangup, jobs) => Drained::Complete,
        () = supervisor::feed(Arc::clone(&directory)) => Drained::Complete,
        () = signatures.run() => Drained::Complete,
        () = file_settings::show(config.file.clone(), Arc::clone(&directory)) => Drained::Complete,
        () = notifier.run(notifications) => Drained::Complete,
        () = alarms::run(live.clone(), u64::from(config.store.min_free_mib) << 20) => Drained::Complete,
        () = credential_warnings::run(live.context.clone(), live.listener.clone()) => Drained::Complete,
    };
    webhooks.stop();
    door.flush_summaries();
    if let Drained::Cut(connections) = drained {
        tracing::warn!(connections, "some connections did not finish in time and were closed");
    }
    Ok(())
}

/// Serves clients and the console until both have answered what they were asked.
async fn drain(
    clients: impl Future<Output = Drained>,
    console: Option<Console>,
    console_stops: watch::Receiver<bool>,
) -> Drained {
    let browsers = async {
        match console {
            Some(console) => console.serve(console_stops).await,
            None => Drained::Complete,
        }
    };
    // Live views come again; what counts is what clients were answered.
    let (drained, _) = tokio::join!(clients, browsers);
    drained
}

/// A short name for this start of the process.
fn boot_name() -> String {
    let mut bytes = [0; 4];
    // Without randomness, request ids may repeat between starts: no reason not to start.
    let _ = SysRng.try_fill_bytes(&mut bytes);
    HEXLOWER.encode(&bytes)
}
