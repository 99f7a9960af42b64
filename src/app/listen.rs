//! Where the server listens: the address for clients, and the one for metrics.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;

use super::certificate::Certificate;
use crate::config::Config;
use crate::http::metrics::MetricsService;
use crate::transport::{self, TlsConfig};

/// How long a client that asks for metrics may take for each step.
const METRICS_TIMEOUT: Duration = Duration::from_secs(10);

/// Listens on the configured address, or on the socket that was passed.
///
/// # Errors
///
/// The address can't be listened on; a socket that was passed would show plain text to the network.
pub(super) async fn listen(
    config: &Config,
    socket: Option<std::net::TcpListener>,
) -> Result<TcpListener> {
    let address = config.listen.address;
    let Some(socket) = socket else {
        return bind(address).await;
    };
    let passed = socket.local_addr()?;
    if !config.listen.tls && !passed.ip().to_canonical().is_loopback() {
        bail!(
            "systemd passes a socket on {passed}, and listen.tls = false is allowed on a loopback address only; \
             remove `tls = false`, or change ListenStream= in the socket unit"
        );
    }
    if passed != address {
        tracing::info!(%passed, configured = %address, "serving the socket from systemd instead of listen.address");
    }
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket)?)
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied => {
                "this port needs the privilege CAP_NET_BIND_SERVICE or scimd.socket; or use port 1024 or higher"
            }
            ErrorKind::AddrInUse => "stop the other process, or change the port",
            ErrorKind::AddrNotAvailable => "it is not an address of this machine",
            _ => "check listen.address and metrics.listen",
        };
        anyhow!("can't listen on {address}: {error}; {remedy}")
    })
}

/// Binds an address for a part of the server; `setting` is what to change if it can't be had.
pub(super) async fn bind_for(
    address: SocketAddr,
    part: &str,
    setting: &str,
) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow!("can't listen on {address} for {part}: {error}; stop the other process, change {setting}")
    })
}

/// What the listener of clients presents.
pub(super) fn listener_tls(
    config: &Config,
    certificate: Option<&Certificate>,
) -> Option<TlsConfig> {
    certificate.filter(|_| config.listen.tls).map(|certificate| certificate.tls.clone())
}

/// Serves metrics until dropped; without a listener it never ends and does nothing.
pub(super) async fn serve_metrics(
    listener: Option<TcpListener>,
    terms: Arc<ArcSwap<transport::ListenerConfig>>,
    monitor: Arc<MetricsService>,
) {
    if let Some(listener) = listener {
        let never = std::future::pending();
        let _ = transport::serve(listener, None, terms, Arc::new(monitor), never).await;
    }
    std::future::pending::<()>().await;
}

/// How metrics are served: with the certificate of the other listener, if they are served with TLS.
pub(super) fn metrics_terms(config: &Config, tls: Option<&TlsConfig>) -> transport::ListenerConfig {
    let limits = transport::ConnectionLimits {
        max_connections: 32,
        max_connections_per_address: 32,
        trusted_proxies: Default::default(),
        handshake_timeout: METRICS_TIMEOUT,
        header_timeout: METRICS_TIMEOUT,
        // Longer than from one look to the next.
        idle_timeout: METRICS_TIMEOUT * 12,
        write_timeout: METRICS_TIMEOUT,
        drain_timeout: METRICS_TIMEOUT,
        max_header_bytes: 8192,
    };
    transport::ListenerConfig { tls: tls.filter(|_| config.metrics.tls).cloned(), limits }
}

/// The limits of a listener, as the configuration has them.
pub(super) fn server_limits(config: &Config) -> transport::ConnectionLimits {
    let limits = &config.limits;
    transport::ConnectionLimits {
        max_connections: limits.max_connections,
        max_connections_per_address: limits.max_connections_per_address,
        trusted_proxies: config.listen.trusted_proxies.clone(),
        handshake_timeout: limits.handshake_timeout,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        write_timeout: limits.request_timeout,
        drain_timeout: limits.drain_timeout,
        max_header_bytes: limits.max_header_bytes,
    }
}
