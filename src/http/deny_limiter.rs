//! A rate limit on answers of 401, for each network.
//!
//! Only requests that are denied already are counted, so the limit never delays or rejects a request
//! with valid credentials. The table has a fixed size and one lock for each eight networks: an attack
//! from many addresses neither makes it grow nor blocks other clients.
//!
//! The algorithm is GCRA, like that of the crate `governor`. That crate's keyed limiter grows with the
//! number of keys and takes another limit only by forgetting them all, so it is not used here.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::event::Network;

/// The number of sets; 65,536 networks in all.
const SETS: usize = 8_192;
const NETWORKS_IN_A_SET: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);

/// Limits how many answers of 401 a network gets in a minute.
pub(super) struct DenyLimiter {
    /// The part of a minute that one denial uses up, in milliseconds; 0 for no limit.
    cost: AtomicU64,
    /// Allocated at the first denial.
    sets: OnceLock<Box<[Mutex<Set>]>>,
    /// The hash is keyed: clients cannot choose addresses that share a set.
    hasher: RandomState,
}

type Set = [Slot; NETWORKS_IN_A_SET];

/// A network, and the time at which it has its whole allowance back, in milliseconds since the start.
#[derive(Clone, Copy, Default)]
struct Slot {
    network: Option<Network>,
    full_at: u64,
}

impl DenyLimiter {
    /// Allows `per_minute` denials a minute, at once or spread; 0 for no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            cost: AtomicU64::new(cost(per_minute)),
            sets: OnceLock::new(),
            hasher: RandomState::new(),
        }
    }

    /// Changes the limit; what networks have used up stays.
    pub(super) fn set_limit(&self, per_minute: u32) {
        self.cost.store(cost(per_minute), Ordering::Relaxed);
    }

    /// Counts a denial at `now`, a time since the start. Returns how long the network has to wait if it
    /// is over its limit. In a full set, the network that has been quiet for longest is forgotten.
    pub(super) fn check(&self, network: Network, now: Duration) -> Option<Duration> {
        let cost = self.cost.load(Ordering::Relaxed);
        if cost == 0 {
            return None;
        }
        let now = now.as_millis() as u64;
        let index = self.hasher.hash_one(network) as usize % SETS;
        let sets = self.sets.get_or_init(|| (0..SETS).map(|_| Mutex::default()).collect());
        let mut set = sets.get(index)?.lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|slot| slot.network == Some(network));
        let slot = match known {
            Some(known) => set.get_mut(known)?,
            None => {
                let quiet = set.iter_mut().min_by_key(|slot| slot.full_at)?;
                *quiet = Slot { network: Some(network), full_at: 0 };
                quiet
            }
        };
        let full_at = slot.full_at.max(now) + cost;
        let latest = now + MINUTE.as_millis() as u64;
        if full_at > latest {
            return Some(Duration::from_millis(full_at - latest));
        }
        slot.full_at = full_at;
        None
    }
}

/// The part of a minute that one denial uses up, in milliseconds; 0 for no limit.
fn cost(per_minute: u32) -> u64 {
    (MINUTE.as_millis() as u64).checked_div(u64::from(per_minute)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn v4(number: u32) -> Network {
        IpAddr::from(Ipv4Addr::from(number)).into()
    }

    #[test]
    fn an_allowance_may_be_used_at_once_and_comes_back_steadily() {
        let limiter = DenyLimiter::new(10);
        for _ in 0..10 {
            assert_eq!(limiter.check(v4(1), START), None);
        }
        let wait = limiter.check(v4(1), START);
        assert_eq!(wait, Some(Duration::from_secs(6)));
        assert_eq!(limiter.check(v4(2), START), None, "another network has its own");
        let later = START + Duration::from_millis(5_999);
        assert_eq!(limiter.check(v4(1), later), Some(Duration::from_millis(1)));
        assert_eq!(limiter.check(v4(1), START + Duration::from_secs(6)), None);
        assert!(limiter.check(v4(1), START + Duration::from_secs(6)).is_some());
        let much_later = START + Duration::from_secs(600);
        let allowed = (0..20).filter(|_| limiter.check(v4(1), much_later).is_none()).count();
        assert_eq!(allowed, 10, "no more than one allowance is saved up");
    }

    #[test]
    fn requests_over_the_limit_do_not_extend_the_wait() {
        let limiter = DenyLimiter::new(1);
        assert_eq!(limiter.check(v4(1), START), None);
        for _ in 0..1_000 {
            assert_eq!(limiter.check(v4(1), START), Some(MINUTE));
        }
        assert_eq!(limiter.check(v4(1), START + MINUTE), None);
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let limiter = DenyLimiter::new(0);
        assert!((0..1_000).all(|_| limiter.check(v4(1), START).is_none()));
        assert!(limiter.sets.get().is_none());
    }

    #[test]
    fn the_quietest_are_forgotten_and_the_table_never_grows() {
        let limiter = DenyLimiter::new(1);
        let noisy = v4(u32::MAX);
        let mut waited = 0;
        for number in 0..200_000_u32 {
            let address = Ipv6Addr::from(u128::from(number) << 64 | 0x2001 << 112);
            limiter.check(IpAddr::from(address).into(), START);
            if number % 10_000 == 0 {
                waited += u32::from(limiter.check(noisy, START).is_some());
            }
        }
        let sets = limiter.sets.get().unwrap();
        let kept: usize = sets
            .iter()
            .map(|set| set.lock().unwrap().iter().filter(|slot| slot.network.is_some()).count())
            .sum();
        assert!(kept <= SETS * NETWORKS_IN_A_SET && kept > SETS * NETWORKS_IN_A_SET / 2, "{kept}");
        assert!(waited > 0, "an active network is remembered meanwhile");
    }
}
