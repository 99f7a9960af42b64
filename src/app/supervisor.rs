//! The side of the server that systemd sees: notifications (sd_notify(3)), the watchdog, and the socket
//! that systemd passes (sd_listen_fds(3)). Without systemd none of it is needed, and nothing is sent.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::directory::{Directory, DirectoryError};

/// How often a long start asks systemd for more time, and for how much.
const EXTENSION_PERIOD: Duration = Duration::from_secs(10);
const EXTENSION: Duration = Duration::from_secs(60);
/// The time that a stop may take after the time for open requests is over.
const AFTER_DRAIN: Duration = Duration::from_secs(10);
/// The time after which a full queue is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Tells systemd that requests are accepted; `status` is shown to operators.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the configuration is reloaded. [`ready`] must follow, whatever the outcome.
pub(super) fn reloading() {
    let status = NotifyState::Status("reloading the configuration");
    // systemd from 253 on takes both in one message, or gives the service up.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, status]),
        Err(error) => tracing::debug!(%error, "no monotonic time for systemd"),
    }
}

/// Tells systemd that the server stops, and that open requests are answered within `drain`.
pub(super) fn stopping(drain: Duration) {
    let status = NotifyState::Status("answering open requests, then stopping");
    tell(&[NotifyState::Stopping, longer(drain + AFTER_DRAIN), status]);
}

/// Feeds systemd's watchdog, if it is enabled, as long as the writer answers.
pub(super) async fn feed(directory: Arc<Directory>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let step = period / 3;
    let mut ping = directory.ping_writer();
    loop {
        match tokio::time::timeout(step, &mut ping).await {
            Ok(Ok(())) => {
                tell(&[NotifyState::Watchdog]);
                tokio::time::sleep(step).await;
                ping = directory.ping_writer();
            }
            // The queue is full, which does not mean that the writer is stuck.
            Ok(Err(DirectoryError::Busy)) => {
                tokio::time::sleep(BUSY_PAUSE).await;
                ping = directory.ping_writer();
            }
            // The writer answers; the database that holds the log does not, and a restart would not help.
            Ok(Err(DirectoryError::Storage(error))) if error.is_unavailable() => {
                tell(&[NotifyState::Watchdog]);
                tokio::time::sleep(step).await;
                ping = directory.ping_writer();
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the writer is not responding");
                tokio::time::sleep(step).await;
                ping = directory.ping_writer();
            }
            // The same answer is still awaited: a slow writer is not stuck.
            Err(_) => {
                tracing::warn!("the writer has not responded for {} s", step.as_secs());
            }
        }
    }
}

/// Extends the start timeout of systemd, until dropped.
pub struct StartExtension {
    _end: Option<Sender<()>>,
}

impl StartExtension {
    /// Begins to extend the timeout; `status` is shown to operators meanwhile.
    pub fn begin(status: &'static str) -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self { _end: None };
        }
        let (end, ended) = channel();
        let ask = move || loop {
            tell(&[longer(EXTENSION), NotifyState::Status(status)]);
            if ended.recv_timeout(EXTENSION_PERIOD) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        };
        // Without the thread, the timeout of the unit applies.
        let started =
            std::thread::Builder::new().name("start-extension".to_owned()).spawn(ask).is_ok();
        Self { _end: started.then_some(end) }
    }
}

/// The socket that systemd listens on for this process, if any. Must be called before there are threads,
/// because it clears environment variables.
///
/// # Errors
///
/// Something other than one TCP socket was passed.
pub fn passed_socket() -> Result<Option<TcpListener>> {
    let is_ours =
        std::env::var("LISTEN_PID").is_ok_and(|process| process.parse() == Ok(std::process::id()));
    if !is_ours {
        return Ok(None);
    }
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 => Ok(None),
        1 => passed
            .take_tcp_listener(0)
            .context("can't serve the socket from systemd; expected ListenStream= with an address and a port"),
        count => bail!("systemd passes {count} sockets; expected one ListenStream= in the socket unit"),
    }
}

fn longer(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "can't notify systemd");
    }
}
