//! The client at the other end of a connection.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::permits::ConnectionPermit;

/// The client at the other end of a connection, as the service sees it.
pub struct Peer {
    address: IpAddr,
    permit: ConnectionPermit,
    is_refused: AtomicBool,
}

impl Peer {
    pub(super) fn new(address: IpAddr, permit: ConnectionPermit) -> Self {
        Self { address, permit, is_refused: AtomicBool::new(false) }
    }

    /// The socket's address, IPv4-mapped IPv6 canonicalised.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Marks a request as authenticated: the connection stays open between requests from now on.
    pub fn authenticated(&self) {
        self.permit.confirm();
    }

    /// Marks a request as refused: the connection ends with its answer.
    pub fn refused(&self) {
        self.is_refused.store(true, Relaxed);
    }

    /// Whether the connection ends with the answer to the present request.
    pub(super) fn must_leave(&self) -> bool {
        self.is_refused.load(Relaxed) || self.permit.is_provisional()
    }
}
