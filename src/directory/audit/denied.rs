//! Refused requests on their way into the audit trail.
//!
//! A refusal must wait for nothing, and whoever is refused must be able to fill neither memory nor
//! disk. So refusals are gathered in memory, one entry for each reason, connection, token and origin,
//! and the writer puts what was gathered into the journal as one change from time to time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Network, Reason, Refused, Verb};

/// How many entries are gathered; requests beyond are only counted.
const ENTRIES: usize = 128;
/// How often what was gathered is written.
const PERIOD: Duration = Duration::from_secs(10);
/// How many entries are few: after more than that the next writing waits longer.
const FEW: usize = 8;
/// How much longer.
const LONG_PERIOD: Duration = Duration::from_secs(60);

/// A request that was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The connection that spoke, if that is known.
    pub connection: Option<String>,
    /// The id of the token that was used, if it is one of ours.
    pub token: Option<String>,
    /// Where it came from.
    pub address: IpAddr,
}

impl Directory {
    /// Notes that a request was refused. It is in the audit trail within a minute, usually within ten
    /// seconds, or when the directory is closed.
    pub fn note_refusal(&self, refusal: Refusal) {
        self.shared.refusals.note(refusal, self.settings.clock.now());
    }
}

/// What tells one entry from another.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    reason: Reason,
    connection: Option<String>,
    token: Option<String>,
    origin: String,
}

struct Seen {
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// Refusals that are not yet in the trail.
#[derive(Default)]
pub(crate) struct Refusals {
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    seen: HashMap<Key, Seen>,
    others: u64,
}

impl Refusals {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, refusal: Refusal, now: Timestamp) {
        let Refusal { reason, connection, token, address } = refusal;
        let key = Key { reason, connection, token, origin: Network::from(address).to_string() };
        let mut gathered = self.gathered();
        let full = gathered.seen.len() >= ENTRIES;
        match gathered.seen.entry(key) {
            Entry::Occupied(mut entry) => {
                let seen = entry.get_mut();
                seen.last = seen.last.max(now);
                seen.count += 1;
            }
            Entry::Vacant(entry) if !full => {
                entry.insert(Seen { first: now, last: now, count: 1 });
            }
            Entry::Vacant(_) => gathered.others += 1,
        }
    }

    /// Takes what was gathered, in the order in which it began; `None` if there is nothing.
    pub(crate) fn take(&self) -> Option<Report> {
        let Gathered { seen, others } = std::mem::take(&mut *self.gathered());
        let mut refusals: Vec<Refused> = seen
            .into_iter()
            .map(|(key, Seen { first, last, count })| {
                let Key { reason, connection, token, origin: address } = key;
                Refused { reason, connection, token, address, first, last, count }
            })
            .collect();
        refusals.sort_by(|a, b| (a.first, &a.address).cmp(&(b.first, &b.address)));
        (!refusals.is_empty()).then_some(Report { refusals, others })
    }
}

/// Puts refusals that were gathered into the trail.
pub(crate) struct Report {
    refusals: Vec<Refused>,
    others: u64,
}

impl Report {
    /// How long the next one has to wait: an attack from many places costs less disk the longer it
    /// goes on.
    pub(crate) fn pause(report: Option<&Self>) -> Duration {
        match report {
            Some(report) if report.refusals.len() > FEW => LONG_PERIOD,
            _ => PERIOD,
        }
    }
}

impl Command for Report {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        tx.details().denied_requests(self.refusals.clone(), self.others);
        let (kind, subject) = ("request".to_owned(), String::new());
        tx.record(Event { kind, verb: Verb::Refused, subject });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: Reason, address: &str) -> Refusal {
        Refusal { reason, connection: None, token: None, address: address.parse().unwrap() }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn refusals_of_one_reason_from_one_origin_are_one_entry() {
        let refusals = Refusals::default();
        refusals.note(refusal(Reason::NoToken, "2001:db8::1"), second(1));
        refusals.note(refusal(Reason::Origin, "192.0.2.1"), second(2));
        refusals.note(refusal(Reason::NoToken, "2001:db8::ffff"), second(3));
        let Report { refusals: told, others } = refusals.take().unwrap();
        assert_eq!((told.len(), others), (2, 0));
        let Refused { reason, address, first, last, count, .. } = &told[0];
        assert_eq!((*reason, address.as_str()), (Reason::NoToken, "2001:db8::/64"));
        assert_eq!((*first, *last, *count), (second(1), second(3), 2));
        assert_eq!((told[1].address.as_str(), told[1].count), ("192.0.2.1", 1));
        assert!(refusals.take().is_none(), "it is told once");
    }

    #[test]
    fn from_however_many_places_they_come_the_table_stays_small() {
        let refusals = Refusals::default();
        for number in 0..100_000_u32 {
            // As long as they get.
            let address =
                format!("2001:db8:{:x}:{:x}::1", 0xf000 + (number >> 16), number & 0xffff);
            let refusal = refusal(Reason::MalformedToken, &address);
            refusals.note(refusal, second(1));
        }
        let report = refusals.take().unwrap();
        assert_eq!(report.refusals.len(), ENTRIES);
        assert_eq!(report.others, 100_000 - ENTRIES as u64);
        assert_eq!(Report::pause(Some(&report)), LONG_PERIOD);
        // What docs/audit.md says of an attack: so many bytes a day at most.
        let bytes = serde_json::to_vec(&report.refusals).unwrap().len() as u64 + 400;
        let day = 24 * 60 * 60;
        assert!(bytes * (day / LONG_PERIOD.as_secs()) < 35_000_000, "{bytes}");
    }
}
