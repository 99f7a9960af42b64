//! Permits for open connections: how many there are in all, and for each address.
//!
//! A permit is provisional until a request of its connection has been authenticated. When all permits are
//! taken, the connection that has held a provisional one for longest is closed to admit the next: strangers
//! displace each other, and no client with credentials. Age counts rather than idleness, because a stranger
//! can trickle bytes, and an honest client authenticates within a few round trips.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::{ConnectionLimits, ConnectionStats};
use crate::event::Network;

/// Gives out permits for connections, and counts those that are held.
pub(super) struct ConnectionPermits {
    held: Mutex<Held>,
    stats: Arc<ConnectionStats>,
}

#[derive(Default)]
struct Held {
    total: usize,
    /// Only addresses with a connection: an entry goes with its last one.
    by_address: HashMap<Network, usize>,
    /// The provisional permits, the oldest first.
    provisional: BTreeMap<u64, Provisional>,
    next_number: u64,
}

/// A permit whose connection may be closed to admit another.
struct Provisional {
    address: Network,
    /// Closes the connection; `None` until its task has been started.
    abort: Option<AbortHandle>,
}

impl Held {
    fn release(&mut self, address: Network) {
        self.total = self.total.saturating_sub(1);
        match self.by_address.get_mut(&address) {
            Some(of_address) if *of_address > 1 => *of_address -= 1,
            _ => {
                self.by_address.remove(&address);
            }
        }
    }
}

impl ConnectionPermits {
    pub(super) fn new(stats: Arc<ConnectionStats>) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), stats })
    }

    /// Takes a provisional permit for a connection from `peer`, if need be from another connection; the
    /// error says which limit is reached.
    pub(super) fn take(
        self: &Arc<Self>,
        peer: IpAddr,
        limits: &ConnectionLimits,
    ) -> Result<ConnectionPermit, &'static str> {
        let address = Network::from(peer);
        let is_proxy = limits.trusted_proxies.contains(peer);
        let mut held = self.lock();
        let of_address = held.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= limits.max_connections_per_address && !is_proxy {
            self.stats.refused_by_address.add_one();
            return Err("too many connections from its address are open");
        }
        let mut displaced = None;
        if held.total >= limits.max_connections {
            let Some((_, oldest)) = held.provisional.pop_first() else {
                self.stats.refused_in_all.add_one();
                return Err("too many connections are open");
            };
            held.release(oldest.address);
            self.stats.open.take_one();
            self.stats.displaced.add_one();
            if let Some(abort) = oldest.abort {
                abort.abort();
            }
            displaced = Some(oldest.address);
        }
        *held.by_address.entry(address).or_default() += 1;
        held.total += 1;
        let number = held.next_number;
        held.next_number += 1;
        held.provisional.insert(number, Provisional { address, abort: None });
        self.stats.accepted.add_one();
        self.stats.open.add_one();
        let is_provisional = AtomicBool::new(true);
        let permits = Arc::clone(self);
        Ok(ConnectionPermit { permits, address, number, is_provisional, displaced })
    }

    /// Sets how to close the connection of the permit with that number, while it is provisional.
    pub(super) fn closes_by(&self, number: u64, abort: AbortHandle) {
        if let Some(provisional) = self.lock().provisional.get_mut(&number) {
            provisional.abort = Some(abort);
        }
    }

    /// No step between lock and unlock can panic, so a poisoned count is still right.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit of one open connection. Dropping it gives it back, also after a panic or an abort.
pub(super) struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    address: Network,
    number: u64,
    is_provisional: AtomicBool,
    displaced: Option<Network>,
}

impl ConnectionPermit {
    /// Distinguishes it from all others.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The network whose connection was closed for this one.
    pub(super) fn displaced(&self) -> Option<Network> {
        self.displaced
    }

    /// Whether no request of the connection has been authenticated.
    pub(super) fn is_provisional(&self) -> bool {
        self.is_provisional.load(Relaxed)
    }

    /// Keeps the permit for as long as the connection is open.
    pub(super) fn confirm(&self) {
        // If it is no longer listed, another connection has it already, and this one is being closed.
        if self.is_provisional() && self.permits.lock().provisional.remove(&self.number).is_some() {
            self.is_provisional.store(false, Relaxed);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut held = self.permits.lock();
        if self.is_provisional() && held.provisional.remove(&self.number).is_none() {
            // It was given to another connection.
            return;
        }
        held.release(self.address);
        self.permits.stats.open.take_one();
    }
}

#[cfg(test)]
impl ConnectionPermits {
    /// How many permits are held in all, and how many addresses hold one.
    pub(super) fn held(&self) -> (usize, usize) {
        let held = self.lock();
        (held.total, held.by_address.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::harness;
    use super::*;

    #[test]
    fn addresses_of_one_subscriber_share_their_permits() {
        let limits = ConnectionLimits { max_connections_per_address: 1, ..harness::limits() };
        let permits = ConnectionPermits::new(Arc::default());
        let take = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            permits.take(address, &limits)
        };
        let first = take("2001:db8:1:2::1").ok();
        assert!(first.is_some() && take("2001:db8:1:2:ffff::1").is_err());
        let (next, v4) = (take("2001:db8:1:3::1").ok(), take("192.0.2.1").ok());
        assert!(next.is_some() && v4.is_some() && take("::ffff:192.0.2.1").is_err());
        assert_eq!(permits.stats.open.value(), 3);
        drop(first);
        assert!(take("2001:db8:1:2::2").is_ok());
        drop((next, v4));
        assert_eq!((permits.stats.open.value(), permits.stats.accepted.value()), (0, 4));
        assert_eq!(permits.stats.refused_by_address.value(), 2);
    }

    #[test]
    fn the_connections_of_a_trusted_proxy_have_no_limit_of_its_address() {
        let limits = ConnectionLimits {
            max_connections: 4,
            max_connections_per_address: 1,
            trusted_proxies: "192.0.2.1".parse().unwrap(),
            ..harness::limits()
        };
        let permits = ConnectionPermits::new(Arc::default());
        let take = |last: u8| permits.take([192, 0, 2, last].into(), &limits).ok();
        let held = [take(1), take(1), take(1), take(2)];
        assert!(held.iter().all(Option::is_some));
        assert!(take(2).is_none(), "others keep theirs");
        held.iter().flatten().for_each(ConnectionPermit::confirm);
        assert!(take(1).is_none(), "max_connections counts proxies as well");
    }

    #[test]
    fn the_oldest_provisional_permit_is_given_to_the_next_connection() {
        let limits = ConnectionLimits {
            max_connections: 2,
            max_connections_per_address: 9,
            ..harness::limits()
        };
        let permits = ConnectionPermits::new(Arc::default());
        let take = |last: u8| permits.take([192, 0, 2, last].into(), &limits);
        let (known, stranger) = (take(1).ok().unwrap(), take(2).ok().unwrap());
        known.confirm();
        let next = take(3).ok().unwrap();
        assert_eq!(next.displaced(), Some(IpAddr::from([192, 0, 2, 2]).into()));
        assert_eq!(permits.held(), (2, 2));
        stranger.confirm();
        assert!(stranger.is_provisional(), "it is too late");
        drop(stranger);
        assert_eq!(permits.held(), (2, 2), "it was given away");
        next.confirm();
        assert!(take(4).is_err(), "both are known");
        drop(known);
        assert!(take(4).is_ok());
        assert_eq!(permits.stats.displaced.value(), 1);
    }
}
