//! Permits for open connections: how many there are in all, and for each address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

impl ConnectionPermits {
    pub(super) fn new(stats: Arc<ConnectionStats>) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), stats })
    }

    /// Takes a permit for a connection from `address`; the error says which limit is reached.
    pub(super) fn take(
        self: &Arc<Self>,
        address: Network,
        limits: &ConnectionLimits,
    ) -> Result<ConnectionPermit, &'static str> {
        let mut held = self.lock();
        if held.total >= limits.max_connections {
            self.stats.refused_in_all.add_one();
            return Err("too many connections are open");
        }
        let of_address = held.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= limits.max_connections_per_address {
            self.stats.refused_by_address.add_one();
            return Err("too many connections from its address are open");
        }
        held.by_address.insert(address, of_address + 1);
        held.total += 1;
        self.stats.accepted.add_one();
        self.stats.open.add_one();
        Ok(ConnectionPermit { permits: Arc::clone(self), address })
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
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut held = self.permits.lock();
        held.total = held.total.saturating_sub(1);
        self.permits.stats.open.take_one();
        match held.by_address.get_mut(&self.address) {
            Some(of_address) if *of_address > 1 => *of_address -= 1,
            _ => {
                held.by_address.remove(&self.address);
            }
        }
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
            let address: std::net::IpAddr = address.parse().unwrap();
            permits.take(address.into(), &limits)
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
}
