//! Holds: connections whose changes are refused until an operator resumes them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::error::DirectoryError;
use crate::directory::transaction::{PendingChange, Transaction};
use crate::event::{Actor, Details, Difference, Event, Verb};
use crate::store::{Read, StoreError, Write, keys};

/// Why the changes of a connection are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When the hold began.
    pub since: Timestamp,
    /// The reason, as a clause.
    pub reason: String,
    /// When the first of the accounts lost, or gained, something, if the brake began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
}

/// Refuses the changes of a connection that is held.
///
/// # Errors
///
/// `Held`; `Storage`.
pub(crate) fn check(state: &dyn Read, actor: &Actor) -> Result<(), DirectoryError> {
    let Actor::Connection { name, .. } = actor else { return Ok(()) };
    match state.get(&keys::held(name))? {
        Some(value) => Err(refusal(name, &read(&value))),
        None => Ok(()),
    }
}

/// The error for a change of a connection that is held.
pub(super) fn refusal(connection: &str, hold: &Hold) -> DirectoryError {
    DirectoryError::Held(format!(
        "Connection \"{connection}\" is paused (since {:.0}: {}). The request was not applied. An operator can \
         resume with `scimd brake resume --connection {connection}`; retry afterwards.",
        hold.since, hold.reason
    ))
}

/// Reads a stored hold. A hold that can't be read is still a hold.
pub(super) fn read(value: &[u8]) -> Hold {
    serde_json::from_slice(value).unwrap_or_else(|_| Hold {
        since: Timestamp::UNIX_EPOCH,
        reason: "the reason can't be read".to_owned(),
        began: None,
    })
}

/// An event of the brake of a connection.
pub(super) fn event(connection: &str, verb: Verb) -> Event {
    Event { kind: "connection".to_owned(), verb, subject: connection.to_owned() }
}

/// The change that holds a connection.
pub(super) fn begin(connection: &str, hold: &Hold, differences: Vec<Difference>) -> PendingChange {
    let value = serde_json::to_vec(hold).unwrap_or_default();
    let writes = vec![Write { key: keys::held(connection), value: Some(value.into()) }];
    let (event, details) = (event(connection, Verb::Held), Details::of(None, differences));
    PendingChange { event, details, writes }
}

/// The change that releases a connection.
pub(super) fn end(connection: &str, hold: &Hold) -> PendingChange {
    let writes = vec![Write { key: keys::held(connection), value: None }];
    let since = hold.since.to_string();
    let differences = [
        Difference::values("reason", Some(&hold.reason.clone().into()), None),
        Difference::values("since", Some(&since.into()), None),
    ];
    let (event, details) = (event(connection, Verb::Released), Details::of(None, differences));
    PendingChange { event, details, writes }
}

/// Has a command make a change.
pub(super) fn apply(tx: &mut Transaction<'_>, change: PendingChange) {
    for Write { key, value } in change.writes {
        match value {
            Some(value) => tx.put(key, value),
            None => tx.delete(key),
        }
    }
    tx.details().changed(change.details.changes);
    tx.record(change.event);
}

/// The connections that are held.
pub(super) fn all(state: &dyn Read) -> Result<BTreeMap<String, Hold>, StoreError> {
    let mut holds = BTreeMap::new();
    state.scan(keys::HELD, None, &mut |key, value| {
        let name = key.strip_prefix(keys::HELD).unwrap_or_default();
        holds.insert(String::from_utf8_lossy(name).into_owned(), read(&value));
        ControlFlow::Continue(())
    })?;
    Ok(holds)
}
