//! Denied requests on their way into the audit trail.
//!
//! Denying a request waits for nothing, and a client that is denied often can fill neither memory nor
//! disk. Denied requests are collected in memory, one entry for each reason, connection, token and
//! network, and the writer records the collected entries in the log as one change from time to time.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::connection::token::TokenOwner;
use crate::event::{Network, Reason, RefusedRequests};
use crate::metrics::Counter;

/// How many entries are collected of requests without a known token, and again as many of those with one; of
/// further requests only the number is kept.
const ENTRIES: usize = 128;

/// A request that was denied.
#[derive(Clone, Debug)]
pub struct DeniedRequest {
    /// Why.
    pub reason: Reason,
    /// The owner of the credential, if it is known.
    pub owner: Option<TokenOwner>,
    /// The id of the token that was presented, if scimd issued it.
    pub token: Option<String>,
    /// What was expected and what came, where the reason does not say it.
    pub detail: Option<String>,
    /// The client's address.
    pub address: IpAddr,
}

/// What denied requests of one entry have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    reason: Reason,
    owner: Option<TokenOwner>,
    token: Option<String>,
    origin: String,
}

struct Seen {
    detail: Option<String>,
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// Denied requests that are not yet in the audit trail.
///
/// Those with a known token are apart from all others: the use of a stolen token shows, however many requests
/// without any come at the same time.
#[derive(Default)]
pub(crate) struct DeniedLog {
    collected: Mutex<Collected>,
    of_known_tokens: [Counter; Reason::CATALOGUE.len()],
}

#[derive(Default)]
struct Collected {
    of_known_tokens: HashMap<Key, Seen>,
    of_strangers: HashMap<Key, Seen>,
    others: u64,
    /// The number of denials since the start, by the owner of the token that was presented.
    by_owner: BTreeMap<TokenOwner, u64>,
}

impl DeniedLog {
    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, refusal: DeniedRequest, now: Timestamp) {
        let DeniedRequest { reason, owner, token, detail, address } = refusal;
        let is_known = token.is_some() && reason.may_have_known_token();
        if let Some(count) = self.of_known_tokens.get(reason as usize).filter(|_| is_known) {
            count.add_one();
        }
        let key = Key { reason, owner, token, origin: Network::from(address).to_string() };
        let mut collected = self.collected();
        let Collected { of_known_tokens, of_strangers, others, by_owner } = &mut *collected;
        if let Some(owner) = &key.owner {
            // As many as have had tokens.
            match by_owner.get_mut(owner) {
                Some(count) => *count += 1,
                None => drop(by_owner.insert(owner.clone(), 1)),
            }
        }
        let seen = if is_known { of_known_tokens } else { of_strangers };
        let full = seen.len() >= ENTRIES;
        match seen.entry(key) {
            Entry::Occupied(mut entry) => {
                let seen = entry.get_mut();
                seen.last = seen.last.max(now);
                seen.count += 1;
            }
            Entry::Vacant(entry) if !full => {
                entry.insert(Seen { detail, first: now, last: now, count: 1 });
            }
            Entry::Vacant(_) => *others += 1,
        }
    }

    /// How many requests with a known token were refused for each reason that there can be.
    pub(crate) fn of_known_tokens(&self) -> impl Iterator<Item = (Reason, u64)> {
        let reasons = Reason::CATALOGUE.into_iter().map(|(reason, _)| reason);
        let counted = reasons.zip(self.of_known_tokens.iter().map(Counter::value));
        counted.filter(|(reason, _)| reason.may_have_known_token())
    }

    /// How many requests were denied since the start, by the owner of the token that was presented.
    pub(crate) fn by_owner(&self) -> BTreeMap<TokenOwner, u64> {
        self.collected().by_owner.clone()
    }

    /// Takes the collected entries, those with a known token first, each kind oldest first, and the number of
    /// requests beyond them; `None` if no request was denied since the last call.
    pub(crate) fn take(&self) -> Option<(Vec<RefusedRequests>, u64)> {
        let mut collected = self.collected();
        let Collected { of_known_tokens, of_strangers, others, .. } = &mut *collected;
        let (of_known_tokens, of_strangers, others) =
            (std::mem::take(of_known_tokens), std::mem::take(of_strangers), std::mem::take(others));
        drop(collected);
        let mut refusals: Vec<RefusedRequests> = of_known_tokens
            .into_iter()
            .chain(of_strangers)
            .map(|(key, Seen { detail, first, last, count })| {
                let Key { reason, owner, token, origin: address } = key;
                let (connection, application) =
                    owner.as_ref().map(TokenOwner::names).unwrap_or_default();
                let [connection, application] =
                    [connection, application].map(|name| name.map(ToOwned::to_owned));
                RefusedRequests {
                    reason,
                    connection,
                    application,
                    token,
                    detail,
                    address,
                    first,
                    last,
                    count,
                }
            })
            .collect();
        refusals.sort_by(|a, b| {
            let order = |one: &RefusedRequests| (one.token.is_none(), one.first);
            (order(a), &a.address).cmp(&(order(b), &b.address))
        });
        (!refusals.is_empty()).then_some((refusals, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: Reason, address: &str) -> DeniedRequest {
        let address = address.parse().unwrap();
        DeniedRequest { reason, owner: None, token: None, detail: None, address }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn refusals_of_one_reason_from_one_origin_are_one_entry() {
        let refusals = DeniedLog::default();
        refusals.note(refusal(Reason::NoToken, "2001:db8::1"), second(1));
        refusals.note(refusal(Reason::Origin, "192.0.2.1"), second(2));
        refusals.note(refusal(Reason::NoToken, "2001:db8::ffff"), second(3));
        let (taken, others) = refusals.take().unwrap();
        assert_eq!((taken.len(), others), (2, 0));
        let RefusedRequests { reason, address, first, last, count, .. } = &taken[0];
        assert_eq!((*reason, address.as_str()), (Reason::NoToken, "2001:db8::/64"));
        assert_eq!((*first, *last, *count), (second(1), second(3), 2));
        assert_eq!((taken[1].address.as_str(), taken[1].count), ("192.0.2.1", 1));
        assert!(refusals.take().is_none(), "each entry is taken once");
    }

    #[test]
    fn noise_does_not_hide_a_known_token() {
        let refusals = DeniedLog::default();
        for number in 0..1_000_u32 {
            let address = format!("2001:db8:0:{number:x}::1");
            refusals.note(refusal(Reason::NoToken, &address), second(1));
        }
        let known = DeniedRequest {
            owner: Some(TokenOwner::Connection("okta".to_owned())),
            token: Some("t".to_owned()),
            ..refusal(Reason::Origin, "192.0.2.9")
        };
        refusals.note(known, second(9));
        let (taken, others) = refusals.take().unwrap();
        assert_eq!((taken[0].reason, taken[0].token.as_deref()), (Reason::Origin, Some("t")));
        assert_eq!((taken.len(), others), (ENTRIES + 1, 1_000 - ENTRIES as u64));
        let counted: Vec<_> = refusals.of_known_tokens().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Reason::Origin, 1)]);
    }

    #[test]
    fn from_however_many_places_they_come_the_table_stays_small() {
        let refusals = DeniedLog::default();
        for number in 0..100_000_u32 {
            // As long as they get.
            let address =
                format!("2001:db8:{:x}:{:x}::1", 0xf000 + (number >> 16), number & 0xffff);
            let refusal = refusal(Reason::MalformedToken, &address);
            refusals.note(refusal, second(1));
        }
        let (refusals, others) = refusals.take().unwrap();
        assert_eq!((refusals.len(), others), (ENTRIES, 100_000 - ENTRIES as u64));
    }
}
