//! The HTTP server: sockets, TLS, HTTP/1.1 framing, and their limits, for every door with a port.
//!
//! - `listener`: accepts connections, stops;
//! - `local`, `proxy_header`: a Unix socket for a proxy on this machine;
//! - `pem`: files with certificates and keys;
//! - `permits`: how many connections may be open;
//! - `peer`: the client at the other end, and whether it is known;
//! - `tls`: certificate and key;
//! - `client_ca`: certificates of clients;
//! - `public_ca`: what clients that trust the public CAs make of the certificate;
//! - `self_signed`: the certificate that scimd makes itself;
//! - `connection`: one connection, from handshake to last byte;
//! - `validity`: the dates of a certificate;
//! - `activity`: what a connection is doing, and how long it may do so.
//!
//! Nothing here knows what is served. A request leaves through [`Service`], and a response comes back. A peer that
//! is silent, trickles, floods or never reads loses its own connection and harms no other.

mod activity;
pub mod client_ca;
mod connection;
#[cfg(test)]
mod harness;
mod listener;
mod local;
mod peer;
mod pem;
mod permits;
mod proxy_header;
mod public_ca;
pub mod self_signed;
pub mod tls;
mod validity;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};

use crate::connection::AddressSet;
use crate::metrics::{Counter, Gauge};
pub use client_ca::{BadClientCertificate, ClientCas};
pub use listener::serve;
pub use local::LocalListener;
pub use peer::Peer;
pub use pem::TlsError;
pub use public_ca::{ChainTrust, chain_trust};
pub use tls::TlsConfig;
pub use validity::Validity;

/// The limits on connections, and on the time that each phase of one may take.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Open connections in all. One more takes the place of one without an authenticated request, or is
    /// closed as soon as it is accepted.
    pub max_connections: usize,
    /// Open connections from one address, or one /64 of IPv6.
    pub max_connections_per_address: usize,
    /// Addresses without that limit: each stands for many clients.
    pub trusted_proxies: AddressSet,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request's head (on a new connection: from the handshake's end)
    /// to its last. The first byte of a new connection must come within 5 seconds.
    pub header_timeout: Duration,
    /// Between a response and the first byte of the next request.
    pub idle_timeout: Duration,
    /// The time for which the peer may take no byte of a response.
    pub write_timeout: Duration,
    /// The time that open requests have once the server stops.
    pub drain_timeout: Duration,
    /// Request line and headers together; a longer head is answered with 431 and a close.
    pub max_header_bytes: usize,
}

/// The settings of a listener: its certificate and the limits of its clients.
#[derive(Clone)]
pub struct ListenerConfig {
    /// Certificate and key; `None` for plain text.
    pub tls: Option<TlsConfig>,
    /// The limits on connections and on their time.
    pub limits: ConnectionLimits,
}

/// A service that answers requests.
///
/// The server sets no time limit on a call: the service must, also for reading the body. The server
/// drops a call when the peer closes its side, and when draining takes too long: work that must finish
/// belongs in a task or thread of its own. A panic closes the connection.
pub trait Service: Send + Sync + 'static {
    /// The body of a response.
    type Body: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static;

    /// Answers one request. The connection ends with the answer unless a request of `peer` has been
    /// authenticated.
    fn call(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The statistics that the listener keeps.
    fn stats(&self) -> &Arc<ConnectionStats>;
}

/// Statistics of connections.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    /// Open connections.
    pub open: Gauge,
    /// Connections that were accepted and kept open.
    pub accepted: Counter,
    /// Connections closed at once because of `max_connections`.
    pub refused_in_all: Counter,
    /// Connections without an authenticated request, closed to admit another.
    pub displaced: Counter,
    /// Connections closed at once because of `max_connections_per_address`.
    pub refused_by_address: Counter,
    /// TLS handshakes that failed.
    pub handshakes_failed: Counter,
    /// TLS handshakes that took too long.
    pub handshakes_too_slow: Counter,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a cut connection is worth a line in the log"]
pub enum Drained {
    /// Every accepted request has its answer.
    Complete,
    /// This many connections were still busy when the drain timeout ended, and were cut.
    Cut(usize),
}
