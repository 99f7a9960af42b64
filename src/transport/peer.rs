//! The client at the other end of a connection.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::ListenerConfig;
use super::client_ca::{self, BadClientCertificate, ChainVerifier};
use super::permits::ConnectionPermit;
use crate::clock::Stopwatch;

/// How long a chain that was checked is not checked again.
const CHECKED_FOR: Duration = Duration::from_secs(60);

/// The client at the other end of a connection, as the service sees it.
pub struct Peer {
    address: IpAddr,
    permit: ConnectionPermit,
    is_refused: AtomicBool,
    presented: Option<Presented>,
}

/// What a client has presented at the TLS handshake.
struct Presented {
    /// Leaf first; empty if it has presented no certificate.
    chain: Vec<CertificateDer<'static>>,
    /// The configuration of the listener, with the CAs of clients.
    listener: Arc<ArcSwap<ListenerConfig>>,
    /// The CA that the chain was last found to end at, and when.
    checked: Mutex<Option<(ChainVerifier, Stopwatch)>>,
}

impl Peer {
    pub(super) fn new(address: IpAddr, permit: ConnectionPermit) -> Self {
        Self { address, permit, is_refused: AtomicBool::new(false), presented: None }
    }

    /// Notes the certificates of a TLS handshake, leaf first.
    pub(super) fn presents(
        &mut self,
        chain: &[CertificateDer<'static>],
        listener: Arc<ArcSwap<ListenerConfig>>,
    ) {
        self.presented =
            Some(Presented { chain: chain.to_vec(), listener, checked: Mutex::default() });
    }

    /// Checks the certificate that was presented against the CA of a connection of the configuration.
    ///
    /// # Errors
    ///
    /// [`BadClientCertificate`], also if the connection has no CA or there is no TLS.
    pub fn check_certificate(
        &self,
        connection: &str,
        now: Timestamp,
    ) -> Result<(), BadClientCertificate> {
        let Some(presented) = &self.presented else {
            return Err(BadClientCertificate::missing());
        };
        let listener = presented.listener.load();
        let ca = listener.tls.as_ref().and_then(|tls| tls.client_cas().of(connection));
        let ca = ca.ok_or_else(BadClientCertificate::missing)?;
        let mut checked = presented.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, since)) = &*checked
            && Arc::ptr_eq(known, ca)
            && since.elapsed() < CHECKED_FOR
        {
            return Ok(());
        }
        client_ca::check(ca, &presented.chain, now)?;
        *checked = Some((Arc::clone(ca), Stopwatch::start()));
        Ok(())
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
