//! The bytes of the HTTP door: sockets, TLS, HTTP/1.1 framing and the limits on them.
//!
//! - `listener`: accepts connections, stops;
//! - `permits`: how many connections may be open;
//! - `tls`: certificate and key;
//! - `self_signed`: the certificate that scimd makes itself;
//! - `connection`: one connection from handshake to last byte;
//! - `validity`: from when to when a certificate is valid;
//! - `activity`: what a connection is doing, and how long it may go on doing it.
//!
//! Nothing here knows SCIM. A request leaves through [`Service`], a response comes back; what the
//! peer does to the bytes in between (silence, trickle, flood, never reading) costs it its own
//! connection and nobody else's.

mod activity;
mod connection;
#[cfg(test)]
mod harness;
mod listener;
mod permits;
pub mod self_signed;
pub mod tls;
mod validity;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::metrics::{Counter, Gauge};
pub use listener::serve;
pub use tls::{TlsConfig, TlsError};
pub use validity::Validity;

/// What one client, and all of them together, may take.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Open connections in all; one more is closed as soon as it is accepted.
    pub max_connections: usize,
    /// Open connections from one address, or one /64 of IPv6.
    pub max_connections_per_address: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request's head (on a new connection: from the handshake's end)
    /// to its last.
    pub header_timeout: Duration,
    /// Between a response and the first byte of the next request.
    pub idle_timeout: Duration,
    /// How long the peer may accept no byte of a response.
    pub write_timeout: Duration,
    /// How long requests may still take once the server stops.
    pub drain_timeout: Duration,
    /// Request line and headers together; a longer head is answered with 431 and a close.
    pub max_header_bytes: usize,
}

/// The settings of a listener: its certificate and the limits of its clients.
#[derive(Clone)]
pub struct ListenerConfig {
    /// Certificate and key; `None` for plain text.
    pub tls: Option<TlsConfig>,
    /// ConnectionLimits on connections and on their time.
    pub limits: ConnectionLimits,
}

/// What answers requests.
///
/// A call has no time limit from this floor, so it must bring its own, for the body it reads too.
/// It is dropped half-way when the peer closes its side, and when draining takes too long: work
/// that must finish belongs in a task or thread of its own. A panic closes its connection.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. `peer` is the socket's address, IPv4-mapped IPv6 canonicalised.
    fn call(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;

    /// Where connections are counted.
    fn counts(&self) -> &Arc<Counts>;
}

/// What became of connections.
#[derive(Debug, Default)]
pub struct Counts {
    /// How many are open.
    pub open: Gauge,
    /// How many were accepted and kept open.
    pub accepted: Counter,
    /// How many were closed because too many were open in all.
    pub refused_in_all: Counter,
    /// How many were closed because too many from their address were open.
    pub refused_by_address: Counter,
    /// How many TLS handshakes failed.
    pub handshakes_failed: Counter,
    /// How many TLS handshakes took too long.
    pub handshakes_too_slow: Counter,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a cut connection is worth a line in the log"]
pub enum Drained {
    /// Every accepted request has its answer.
    Complete,
    /// So many connections were still busy when the time to drain was over.
    Cut(usize),
}
