//! Leases: what one node does alone for as long as it shows itself.
//!
//! A lease is a row with its holder and an end, by the clock of the database. Its holder renews it each second, and stops
//! to believe in it before it ends for the others: also a node that was paused, whose own clock went on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::{CallError, Parameter, PostgresConnection, Row, Statement};
use super::node::Node;
use crate::clock::Stopwatch;
use crate::log::{Lease, shown_node};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(3);
/// How long a holder believes in a lease, from before it has sent the renewal; in the database it lasts a second longer.
const BELIEVED: Duration = Duration::from_secs(5);
/// How often leases are renewed.
const PERIOD: Duration = Duration::from_secs(1);

const LOOK: &str = "\
    SELECT wanted.name, lease.node, coalesce(node.name, ''), coalesce(lease.until > clock_timestamp(), false) \
    FROM unnest($1::text[]) AS wanted(name) LEFT JOIN scimd_lease lease ON lease.name = wanted.name \
      LEFT JOIN scimd_node node ON node.id = lease.node";

const TAKE: &str = "\
    INSERT INTO scimd_lease (name, node, until) \
    SELECT wanted.name, $2::bytea, clock_timestamp() + interval '6 seconds' \
    FROM unnest($1::text[]) AS wanted(name) ORDER BY wanted.name \
    ON CONFLICT (name) DO UPDATE SET node = EXCLUDED.node, until = EXCLUDED.until \
      WHERE scimd_lease.node = EXCLUDED.node OR scimd_lease.until <= clock_timestamp() \
    RETURNING name";

const GIVE_UP: &str = "\
    UPDATE scimd_lease SET until = clock_timestamp() WHERE node = $2 AND name <> ALL($1::text[]) \
      AND until > clock_timestamp() RETURNING name";

/// The leases that a node strives for.
#[derive(Default)]
pub(super) struct Leases(Mutex<LeaseState>);

#[derive(Default)]
struct LeaseState {
    wanted: Vec<String>,
    /// Whether others are wanted since the last renewal.
    changed: bool,
    /// Those that are not taken for a time, from a moment on.
    paused: BTreeMap<String, (Stopwatch, Duration)>,
    renewed: Option<Stopwatch>,
    known: BTreeMap<String, Holder>,
}

impl LeaseState {
    fn is_paused(&self, name: &str) -> bool {
        self.paused.get(name).is_some_and(|(since, pause)| since.elapsed() < *pause)
    }

    /// Whether the lease may be this node's.
    fn may_hold(&self, name: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted == name) && !self.is_paused(name)
    }
}

/// Who holds a lease.
enum Holder {
    /// This node; the time is from before the renewal was sent.
    This(Stopwatch),
    /// Another one, by its name.
    Other(String),
}

/// The statements for one connection.
pub(super) struct LeaseStatements {
    look: Statement,
    take: Statement,
    give_up: Statement,
}

impl LeaseStatements {
    pub(super) fn prepare(connection: &PostgresConnection) -> Result<Self, CallError> {
        let statement = |text| connection.prepare(CALL, text);
        Ok(Self { look: statement(LOOK)?, take: statement(TAKE)?, give_up: statement(GIVE_UP)? })
    }
}

impl Leases {
    fn state(&self) -> MutexGuard<'_, LeaseState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Strives for these leases, and no others.
    pub(super) fn want(&self, mut names: Vec<String>) {
        names.sort();
        let mut state = self.state();
        if state.wanted != names {
            state.known.retain(|name, _| names.contains(name));
            (state.wanted, state.changed) = (names, true);
        }
    }

    /// Gives a lease up, and does not take it for a time.
    pub(super) fn pause(&self, name: &str, pause: Duration) {
        let mut state = self.state();
        state.paused.insert(name.to_owned(), (Stopwatch::start(), pause));
        state.known.remove(name);
        state.changed = true;
    }

    /// Who holds a lease.
    pub(super) fn holder(&self, name: &str) -> Lease {
        match self.state().known.get(name) {
            Some(Holder::This(since)) if since.elapsed() < BELIEVED => Lease::Held,
            Some(Holder::Other(node)) => Lease::Elsewhere(node.clone()),
            _ => Lease::Unknown,
        }
    }

    /// Whether it is time to renew.
    pub(super) fn are_due(&self) -> bool {
        let state = self.state();
        let is_old = state.renewed.as_ref().is_none_or(|since| since.elapsed() >= PERIOD);
        state.changed || (is_old && !state.wanted.is_empty())
    }

    /// Renews what this node holds, takes what no other node does, and gives up what it wants no more.
    pub(super) fn renew(
        &self,
        connection: &PostgresConnection,
        statements: &LeaseStatements,
        node: &Node,
    ) -> Result<(), CallError> {
        let (wanted, may_hold, changed) = {
            let mut state = self.state();
            let wanted = state.wanted.clone();
            let may_hold: Vec<bool> = wanted.iter().map(|name| state.may_hold(name)).collect();
            (wanted, may_hold, std::mem::take(&mut state.changed))
        };
        let since = Stopwatch::start();
        let (names, id): (Vec<&str>, _) =
            (wanted.iter().map(String::as_str).collect(), &node.id[..]);
        let kept = names.iter().zip(&may_hold).filter(|(_, may_hold)| **may_hold);
        let kept: Vec<&str> = kept.map(|(name, _)| *name).collect();
        if changed {
            let parameters: [Parameter<'_>; 2] = [&kept, &id];
            connection.commit(CALL, Some("BEGIN"), &statements.give_up, &parameters)?;
        }
        let rows = connection.query(CALL, &statements.look, &[&names])?;
        let (mut free, mut known) = (Vec::new(), BTreeMap::new());
        for (name, holder, shown) in rows.iter().filter_map(read) {
            match holder {
                Some(holder) if holder != node.id => {
                    known.insert(name, Holder::Other(shown_node(&shown, &holder)));
                }
                _ if kept.contains(&name.as_str()) => free.push(name),
                _ => {}
            }
        }
        if !free.is_empty() {
            let parameters: [Parameter<'_>; 2] = [&free, &id];
            let taken = connection.commit(CALL, Some("BEGIN"), &statements.take, &parameters)?;
            for name in taken.iter().filter_map(|row| row.try_get(0).ok()) {
                known.insert(name, Holder::This(since));
            }
        }
        let mut state = self.state();
        known.retain(|name, holder| match holder {
            Holder::This(_) => state.may_hold(name),
            Holder::Other(_) => state.wanted.contains(name),
        });
        (state.known, state.renewed) = (known, Some(since));
        Ok(())
    }

    /// Knows nothing any more: the database can't be asked.
    pub(super) fn forget_others(&self) {
        self.state().known.retain(|_, holder| matches!(holder, Holder::This(_)));
    }
}

/// A lease with its holder, unless it has ended, and the name of that node.
fn read(row: &Row) -> Option<(String, Option<Vec<u8>>, String)> {
    let is_held: bool = row.try_get(3).ok()?;
    let holder: Option<Vec<u8>> = row.try_get(1).ok()?;
    Some((row.try_get(0).ok()?, holder.filter(|_| is_held), row.try_get(2).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_is_paused_is_given_up_and_may_be_taken_again_when_the_time_has_passed() {
        let (leases, pause) = (Leases::default(), Duration::from_secs(30));
        leases.want(vec!["a".to_owned(), "b".to_owned()]);
        for name in ["a", "b"] {
            leases.state().known.insert(name.to_owned(), Holder::This(Stopwatch::start()));
        }
        leases.state().changed = false;
        leases.pause("a", pause);
        assert_eq!((leases.holder("a"), leases.holder("b")), (Lease::Unknown, Lease::Held));
        assert!(leases.are_due() && !leases.state().may_hold("a") && leases.state().may_hold("b"));
        let since = Stopwatch::start().earlier(pause);
        leases.state().paused.insert("a".to_owned(), (since, pause));
        assert!(leases.state().may_hold("a"));
    }
}
