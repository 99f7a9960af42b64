//! How often sign-ins may fail, by name and by address (GCRA).
//!
//! An attempt is charged before it is checked and given back if it succeeds, so that attempts at the same time can't
//! exceed the limit. A name that is held up can still use a one-time link.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::event::Network;

/// The window of both limits.
pub(super) const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The number of failed attempts for one name within it, from all addresses.
pub(super) const PER_NAME: u32 = 10;
/// The number of failed attempts from one address within it; the addresses of one IPv6 /64 count as one.
pub(super) const PER_ADDRESS: u32 = 30;
/// How many names, and how many addresses, are remembered; beyond it the quietest is forgotten.
const MAX_KEYS: usize = 4_096;

/// Counts failed attempts.
pub(super) struct Throttle {
    since: Stopwatch,
    counts: Mutex<Counts>,
}

/// When each has its whole allowance back, in time since the start.
#[derive(Default)]
struct Counts {
    names: HashMap<String, Duration>,
    addresses: HashMap<Network, Duration>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self { since: Stopwatch::start(), counts: Mutex::default() }
    }

    /// Charges an attempt to a name and an address.
    ///
    /// # Errors
    ///
    /// How long to wait; then nothing is charged.
    pub(super) fn charge(&self, name: &str, address: IpAddr) -> Result<(), Duration> {
        self.charge_at(name, address, self.since.elapsed())
    }

    /// Charges an attempt to an address alone.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub(super) fn charge_address(&self, address: IpAddr) -> Result<(), Duration> {
        let now = self.since.elapsed();
        self.with(|counts| charge(&mut counts.addresses, Network::from(address), PER_ADDRESS, now))
    }

    fn charge_at(&self, name: &str, address: IpAddr, now: Duration) -> Result<(), Duration> {
        let network = Network::from(address);
        self.with(|counts| {
            charge(&mut counts.addresses, network, PER_ADDRESS, now)?;
            let by_name = charge(&mut counts.names, name.to_ascii_lowercase(), PER_NAME, now);
            if by_name.is_err() {
                give_back(&mut counts.addresses, &network, PER_ADDRESS);
            }
            by_name
        })
    }

    /// Gives an attempt back that did not fail.
    pub(super) fn give_back(&self, name: &str, address: IpAddr) {
        self.with(|counts| {
            give_back(&mut counts.addresses, &Network::from(address), PER_ADDRESS);
            give_back(&mut counts.names, &name.to_ascii_lowercase(), PER_NAME);
        });
    }

    /// Gives an attempt back that was charged to an address alone.
    pub(super) fn give_back_address(&self, address: IpAddr) {
        let network = Network::from(address);
        self.with(|counts| give_back(&mut counts.addresses, &network, PER_ADDRESS));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn charge<K: Eq + Hash + Clone>(
    counts: &mut HashMap<K, Duration>,
    key: K,
    limit: u32,
    now: Duration,
) -> Result<(), Duration> {
    let full_at = counts.get(&key).copied().unwrap_or_default().max(now) + WINDOW / limit;
    if full_at > now + WINDOW {
        return Err(full_at - now - WINDOW);
    }
    if counts.len() >= MAX_KEYS && !counts.contains_key(&key) {
        counts.retain(|_, full_at| *full_at > now);
        let quietest = counts.iter().min_by_key(|(_, full_at)| **full_at);
        if let Some(quietest) = quietest.map(|(key, _)| key.clone())
            && counts.len() >= MAX_KEYS
        {
            counts.remove(&quietest);
        }
    }
    counts.insert(key, full_at);
    Ok(())
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, Duration>, key: &K, limit: u32) {
    if let Some(full_at) = counts.get_mut(key) {
        *full_at = full_at.saturating_sub(WINDOW / limit);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn a_name_may_fail_ten_times_in_fifteen_minutes_from_any_address() {
        let throttle = Throttle::new();
        for number in 0..PER_NAME {
            assert_eq!(throttle.charge_at("ada", address(number), START), Ok(()));
        }
        let wait = throttle.charge_at("Ada", address(99), START);
        assert_eq!(wait, Err(Duration::from_secs(90)), "in any letter case");
        assert_eq!(throttle.charge_at("bob", address(99), START), Ok(()), "others may");
        assert_eq!(throttle.charge_at("ada", address(99), START + WINDOW / PER_NAME), Ok(()));
        assert!(throttle.charge_at("ada", address(99), START + WINDOW / PER_NAME).is_err());
    }

    #[test]
    fn an_address_may_fail_thirty_times_in_fifteen_minutes_by_any_name() {
        let throttle = Throttle::new();
        for number in 0..PER_ADDRESS {
            let name = format!("name{number}");
            assert_eq!(throttle.charge_at(&name, address(1), START), Ok(()));
        }
        let wait = throttle.charge_at("other", address(1), START);
        assert_eq!(wait, Err(Duration::from_secs(30)));
        assert_eq!(throttle.charge_at("other", address(2), START), Ok(()));
    }

    #[test]
    fn what_succeeds_does_not_count_and_what_is_refused_does_not_lengthen_the_wait() {
        let throttle = Throttle::new();
        for _ in 0..100 {
            let now = throttle.since.elapsed();
            assert_eq!(throttle.charge_at("ada", address(1), now), Ok(()));
            throttle.give_back("ada", address(1));
        }
        for _ in 0..PER_NAME {
            assert_eq!(throttle.charge_at("ada", address(1), START), Ok(()));
        }
        for _ in 0..100 {
            assert_eq!(throttle.charge_at("ada", address(1), START), Err(WINDOW / PER_NAME));
        }
        let of_address = (0..40).take_while(|number| {
            throttle.charge_at(&format!("name{number}"), address(1), START).is_ok()
        });
        assert_eq!(of_address.count(), (PER_ADDRESS - PER_NAME) as usize);
    }

    #[test]
    fn many_names_do_not_make_it_grow_or_free_a_name_that_is_held_up() {
        let throttle = Throttle::new();
        while throttle.charge_at("ada", address(0), START).is_ok() {}
        for number in 0..10_000 {
            let _ = throttle.charge_at(&format!("name{number}"), address(number), START);
        }
        let counts = throttle.counts.lock().unwrap();
        assert!(counts.names.len() <= MAX_KEYS && counts.addresses.len() <= MAX_KEYS);
        drop(counts);
        assert!(throttle.charge_at("ada", address(u32::MAX), START).is_err());
    }
}
