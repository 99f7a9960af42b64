//! What systemd is told, and what it passes on (sd_notify(3), sd_listen_fds(3)). Without systemd nothing is
//! said, and nothing is missing.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::directory::{Directory, DirectoryError};

/// How often a start that takes long asks for more time, and for how much.
const PATIENCE_EVERY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// What a stop may take beyond the time in which open requests are answered.
const AFTER_DRAIN: Duration = Duration::from_secs(30);
/// After what time a queue that was full is looked at again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Requests are taken, as `status` says.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again. Whatever comes of it, [`ready`] must follow.
pub(super) fn reloading() {
    let status = NotifyState::Status("reading the configuration again");
    // systemd from 253 on takes both in one message, or gives the service up.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, status]),
        Err(error) => tracing::debug!(%error, "no monotonic time for systemd"),
    }
}

/// No more requests are taken; those that are open are answered within `drain`.
pub(super) fn stopping(drain: Duration) {
    let status = NotifyState::Status("answering open requests, then stopping");
    tell(&[NotifyState::Stopping, longer(drain + AFTER_DRAIN), status]);
}

/// Feeds the watchdog, if there is one, as long as the writer answers.
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
            // Too many wait just now, which is no sign of death.
            Ok(Err(DirectoryError::Busy)) => {
                tokio::time::sleep(BUSY_PAUSE).await;
                ping = directory.ping_writer();
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the writer gives no sign of life");
                tokio::time::sleep(step).await;
                ping = directory.ping_writer();
            }
            // It is waited for on: a writer that is slow is not stuck.
            Err(_) => {
                tracing::warn!("the writer has given no sign of life for {} s", step.as_secs());
            }
        }
    }
}

/// Has systemd wait for a start that takes long, until dropped.
pub struct Patience {
    _end: Option<Sender<()>>,
}

impl Patience {
    /// Asks for time while `status` is true.
    pub fn while_it_is(status: &'static str) -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self { _end: None };
        }
        let (end, ended) = channel();
        let ask = move || loop {
            tell(&[longer(PATIENCE), NotifyState::Status(status)]);
            if ended.recv_timeout(PATIENCE_EVERY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        };
        // Without the thread there is the time that the unit gives.
        let started = std::thread::Builder::new().name("patience".to_owned()).spawn(ask).is_ok();
        Self { _end: started.then_some(end) }
    }
}

/// The socket that systemd listens on for this process, if it does. Called before there are threads, since
/// it clears what the environment says of it.
///
/// # Errors
///
/// What is passed is not one TCP socket.
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
            .context("the socket that systemd passes can't be served; expected ListenStream= with an address and a port"),
        count => bail!("systemd passes {count} sockets; expected one ListenStream= in the socket unit"),
    }
}

fn longer(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
