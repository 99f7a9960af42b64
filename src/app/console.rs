//! The console as the roof starts it: its settings, its listener, its limits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::certificate::{Certificate, self_signed};
use super::listen::bind_for;
use super::settings::{endpoint, token_url};
use crate::config::Config;
use crate::console::{ConsoleLinks, ConsoleService, ConsoleSettings};
use crate::transport::{self, ConnectionLimits, Drained, ListenerConfig};

/// The connections that browsers may have open at once, in all and from one address.
pub(super) const MAX_CONNECTIONS: usize = 100;
/// How long a browser may take for each step.
const STEP: Duration = Duration::from_secs(10);
/// How long a connection stays open between two requests: longer than from one look of a live view to the next.
const IDLE: Duration = Duration::from_secs(30);
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The console and its port; nothing of it is there if it is disabled.
pub(super) struct Console {
    pub(super) service: Arc<ConsoleService>,
    pub(super) links: Arc<ConsoleLinks>,
    pub(super) terms: Arc<ArcSwap<ListenerConfig>>,
    listener: TcpListener,
}

impl Console {
    /// Binds the port of the console, unless it is disabled.
    ///
    /// # Errors
    ///
    /// The address can't be listened on.
    pub(super) async fn start(
        config: &Config,
        certificate: Option<&Certificate>,
    ) -> Result<Option<Self>> {
        let (true, Some(certificate)) = (config.console.enabled, certificate) else {
            return Ok(None);
        };
        let remedy = "console.address, or set console.enabled = false";
        let listener = bind_for(config.console.address, "the console", remedy).await?;
        let links = Arc::new(ConsoleLinks::new(config.console.url().as_str().to_owned()));
        let settings = settings(config, Some(certificate));
        Ok(Some(Self {
            service: Arc::new(ConsoleService::new(Arc::clone(&links), settings)),
            links,
            terms: Arc::new(ArcSwap::from_pointee(terms(config, certificate))),
            listener,
        }))
    }

    /// Serves until the server stops, then answers what was asked.
    pub(super) async fn serve(self, mut stopping: watch::Receiver<bool>) -> Drained {
        let stop = async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        transport::serve(self.listener, None, self.terms, self.service, stop).await
    }
}

/// What the console needs of a configuration.
pub(super) fn settings(config: &Config, certificate: Option<&Certificate>) -> ConsoleSettings {
    ConsoleSettings {
        config: Arc::new(config.clone()),
        endpoint: endpoint(config),
        token_url: token_url(config),
        self_signed: self_signed(config),
        certificate_expires: certificate.map(Certificate::not_after),
    }
}

/// How the console is served: with the certificate of the other listener, but no browser is asked for one.
pub(super) fn terms(config: &Config, certificate: &Certificate) -> ListenerConfig {
    let limits = ConnectionLimits {
        max_connections: MAX_CONNECTIONS,
        max_connections_per_address: MAX_CONNECTIONS,
        trusted_proxies: Default::default(),
        handshake_timeout: STEP,
        header_timeout: STEP,
        idle_timeout: IDLE,
        write_timeout: STEP,
        drain_timeout: config.limits.drain_timeout,
        max_header_bytes: MAX_HEADER_BYTES,
    };
    ListenerConfig { tls: Some(certificate.console_tls.clone()), limits }
}
