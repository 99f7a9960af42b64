//! The commands of operators: hold a connection, release it, allow it a planned mass change.

use std::time::Duration;

use super::allowance::Allowance;
use super::hold::{self, Hold};
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Difference, Verb};
use crate::store::{Read as _, keys};
use crate::text::duration;

/// Holds the changes of a connection on behalf of an operator.
pub struct HoldBrake {
    /// The connection.
    pub connection: String,
    /// The reason that the operator gives.
    pub reason: Option<String>,
}

impl Command for HoldBrake {
    type Output = Hold;
    const OUTLASTS_SETTINGS: bool = true;

    /// A connection that is held already keeps its reason.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Hold, DirectoryError> {
        if let Some(value) = tx.get(&keys::held(&self.connection))? {
            return Ok(hold::read(&value));
        }
        let reason = match &self.reason {
            Some(reason) => format!("{} paused it: {reason}", tx.actor()),
            None => format!("{} paused it", tx.actor()),
        };
        let hold = Hold { since: tx.now(), reason, began: None };
        let reason = Difference::values("reason", None, Some(&hold.reason.clone().into()));
        hold::apply(tx, hold::begin(&self.connection, &hold, vec![reason]));
        Ok(hold)
    }
}

/// Releases a connection. Its tally restarts.
pub struct ReleaseBrake {
    /// The connection; `None` for the only one that is held.
    pub connection: Option<String>,
}

impl Command for ReleaseBrake {
    /// The connection that was held, and why; `None` if it was not held.
    type Output = Option<(String, Hold)>;
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Unfit` if several are held and none is named.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Option<(String, Hold)>, DirectoryError> {
        let mut holds = hold::all(tx)?;
        let found = match &self.connection {
            Some(name) => holds.remove_entry(name),
            None if holds.len() > 1 => {
                let listed = holds.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(DirectoryError::Unfit(format!(
                    "--connection is required; paused: {listed}"
                )));
            }
            None => holds.pop_first(),
        };
        if let Some((name, held)) = &found {
            hold::apply(tx, hold::end(name, held));
        }
        Ok(found)
    }
}

/// Allows a connection to change a number of accounts within a time, whatever its brake says.
pub struct AllowBrake {
    /// The connection.
    pub connection: String,
    /// The number of accounts; 0 ends an allowance.
    pub accounts: u64,
    /// How long it is allowed.
    pub valid_for: Duration,
    /// The reason that the operator gives.
    pub reason: Option<String>,
}

impl Command for AllowBrake {
    /// The allowance in force from now on.
    type Output = Option<Allowance>;
    const OUTLASTS_SETTINGS: bool = true;

    /// It takes the place of an earlier allowance.
    ///
    /// # Errors
    ///
    /// `Unfit` if there is none to end.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Option<Allowance>, DirectoryError> {
        let (key, name, now) = (keys::allowed(&self.connection), &self.connection, tx.now());
        let earlier = Allowance::in_force(tx, name, now)?;
        let mut differences = Vec::new();
        let accounts =
            |allowance: &Option<Allowance>| allowance.as_ref().map(|one| one.left.into());
        let allowance = match self.accounts {
            0 if earlier.is_none() => {
                let reason = format!("connection {name} has no allowance");
                return Err(DirectoryError::Unfit(reason));
            }
            0 => {
                tx.delete(key);
                None
            }
            accounts => {
                let allowance = Allowance {
                    since: now,
                    until: now.saturating_add(self.valid_for).unwrap_or(now),
                    accounts,
                    left: accounts,
                    by: tx.actor().to_string(),
                    reason: self.reason.clone(),
                };
                allowance.put(tx, key);
                let valid_for = duration::display(self.valid_for).to_string();
                differences.push(Difference::values("for", None, Some(&valid_for.into())));
                Some(allowance)
            }
        };
        let (before, after) = (accounts(&earlier), accounts(&allowance));
        differences.push(Difference::values("accounts", before.as_ref(), after.as_ref()));
        tx.details().changed(differences);
        tx.details().reason(self.reason.as_deref());
        tx.record(hold::event(name, Verb::Allowed));
        Ok(allowance)
    }
}
