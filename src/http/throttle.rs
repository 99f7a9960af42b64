//! How many refusals one network is told in a minute before it is told to wait.
//!
//! Only what has been refused already comes here, so nobody who is let in ever waits for it or is
//! limited by it. The table has a fixed size and a lock for each eight networks: an attack from many
//! addresses neither grows it nor holds up anybody but itself.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::event::Network;

/// How many sets of networks there are; 65,536 networks in all.
const SETS: usize = 8_192;
const NETWORKS_IN_A_SET: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);

/// The networks that were refused of late.
pub(super) struct Throttle {
    /// What one refusal costs of a minute, in milliseconds; 0 if there is no limit.
    cost: AtomicU64,
    /// Made when the first is refused.
    sets: OnceLock<Box<[Mutex<Set>]>>,
    /// Where a network belongs is known to nobody outside.
    places: RandomState,
}

type Set = [Slot; NETWORKS_IN_A_SET];

/// A network, and when all that it was told is paid off, in milliseconds since the start.
#[derive(Clone, Copy, Default)]
struct Slot {
    network: Option<Network>,
    paid: u64,
}

impl Throttle {
    /// So many refusals a minute, all at once or spread; 0 for no limit.
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            cost: AtomicU64::new(cost(per_minute)),
            sets: OnceLock::new(),
            places: RandomState::new(),
        }
    }

    /// Has another limit hold from here on.
    pub(super) fn limit(&self, per_minute: u32) {
        self.cost.store(cost(per_minute), Ordering::Relaxed);
    }

    /// Notes a refusal, at a time since the start; how long the network has to wait if it has had its
    /// share. Where there is no room, the network that has been quiet for longest is forgotten.
    pub(super) fn note(&self, network: Network, now: Duration) -> Option<Duration> {
        let cost = self.cost.load(Ordering::Relaxed);
        if cost == 0 {
            return None;
        }
        let now = now.as_millis() as u64;
        let place = self.places.hash_one(network) as usize % SETS;
        let sets = self.sets.get_or_init(|| (0..SETS).map(|_| Mutex::default()).collect());
        let mut set = sets.get(place)?.lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|slot| slot.network == Some(network));
        let slot = match known {
            Some(known) => set.get_mut(known)?,
            None => {
                let quiet = set.iter_mut().min_by_key(|slot| slot.paid)?;
                *quiet = Slot { network: Some(network), paid: 0 };
                quiet
            }
        };
        let paid = slot.paid.max(now) + cost;
        let share = now + MINUTE.as_millis() as u64;
        if paid > share {
            return Some(Duration::from_millis(paid - share));
        }
        slot.paid = paid;
        None
    }
}

/// What one refusal costs of a minute, in milliseconds; 0 for no limit.
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
    fn a_share_may_be_used_at_once_and_comes_back_bit_by_bit() {
        let throttle = Throttle::new(10);
        for _ in 0..10 {
            assert_eq!(throttle.note(v4(1), START), None);
        }
        let wait = throttle.note(v4(1), START);
        assert_eq!(wait, Some(Duration::from_secs(6)));
        assert_eq!(throttle.note(v4(2), START), None, "another network has its own");
        let later = START + Duration::from_millis(5_999);
        assert_eq!(throttle.note(v4(1), later), Some(Duration::from_millis(1)));
        assert_eq!(throttle.note(v4(1), START + Duration::from_secs(6)), None);
        assert!(throttle.note(v4(1), START + Duration::from_secs(6)).is_some());
        let much_later = START + Duration::from_secs(600);
        let told = (0..20).filter(|_| throttle.note(v4(1), much_later).is_none()).count();
        assert_eq!(told, 10, "no more than one share is saved up");
    }

    #[test]
    fn waiting_costs_nothing() {
        let throttle = Throttle::new(1);
        assert_eq!(throttle.note(v4(1), START), None);
        for _ in 0..1_000 {
            assert_eq!(throttle.note(v4(1), START), Some(MINUTE));
        }
        assert_eq!(throttle.note(v4(1), START + MINUTE), None);
    }

    #[test]
    fn without_a_limit_nobody_waits_and_nothing_is_kept() {
        let throttle = Throttle::new(0);
        assert!((0..1_000).all(|_| throttle.note(v4(1), START).is_none()));
        assert!(throttle.sets.get().is_none());
    }

    #[test]
    fn the_quietest_are_forgotten_and_the_table_never_grows() {
        let throttle = Throttle::new(1);
        let noisy = v4(u32::MAX);
        let mut waited = 0;
        for number in 0..200_000_u32 {
            let address = Ipv6Addr::from(u128::from(number) << 64 | 0x2001 << 112);
            throttle.note(IpAddr::from(address).into(), START);
            if number % 10_000 == 0 {
                waited += u32::from(throttle.note(noisy, START).is_some());
            }
        }
        let sets = throttle.sets.get().unwrap();
        let kept: usize = sets
            .iter()
            .map(|set| set.lock().unwrap().iter().filter(|slot| slot.network.is_some()).count())
            .sum();
        assert!(kept <= SETS * NETWORKS_IN_A_SET && kept > SETS * NETWORKS_IN_A_SET / 2, "{kept}");
        assert!(waited > 0, "who comes again and again is remembered meanwhile");
    }
}
