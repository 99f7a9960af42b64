//! Allowances: a number of accounts that a connection may change within a time, beyond what its brake allows.
//!
//! An allowance is state. Each change that uses it carries the number that is left, so that it survives a restart.
//! Each account counts once; which ones did is in memory, and after a restart an account may count again.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effects::{Effects, Enough};
use crate::directory::transaction::Transaction;
use crate::scim::resource::ResourceId;
use crate::store::{Read, StoreError, Write, keys};

/// What an operator allows a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// When it began.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// The number of accounts.
    pub accounts: u64,
    /// The number of accounts that are left.
    pub left: u64,
    /// The operator.
    pub by: String,
    /// The reason that the operator gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Allowance {
    /// The allowance of a connection at a moment. One that can't be read allows nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn in_force(
        state: &dyn Read,
        connection: &str,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let stored = state.get(&keys::allowed(connection))?;
        let allowance: Option<Self> = stored.and_then(|value| serde_json::from_slice(&value).ok());
        Ok(allowance.filter(|allowance| now < allowance.until))
    }

    /// Stores it.
    pub(super) fn put(&self, tx: &mut Transaction<'_>, key: Vec<u8>) {
        // Numbers, times and texts have a form as JSON.
        tx.put(key, serde_json::to_vec(self).unwrap_or_default());
    }

    /// What stores it as it is by now.
    pub(super) fn write(&self, connection: &str) -> Write {
        let value = serde_json::to_vec(self).unwrap_or_default();
        Write { key: keys::allowed(connection), value: Some(value.into()) }
    }
}

/// The accounts that counted for an allowance.
#[derive(Default)]
pub(super) struct AllowedAccounts {
    /// When the allowance began.
    since: Timestamp,
    members: HashSet<ResourceId>,
}

impl AllowedAccounts {
    /// Counts the accounts that change for an allowance, if it covers all of them: then they don't count for the brake.
    /// Returns those that are new. A change that it does not cover counts for the brake as a whole.
    pub(super) fn charge(
        &mut self,
        allowance: &mut Allowance,
        effects: &mut Effects,
        sought: Enough,
    ) -> Vec<ResourceId> {
        // Of more than were sought not all are known.
        if effects.lost.len() as u64 > sought.lost || effects.gained.len() as u64 > sought.gained {
            return Vec::new();
        }
        if self.since != allowance.since {
            *self = Self { since: allowance.since, members: HashSet::new() };
        }
        let changed: HashSet<ResourceId> =
            effects.lost.iter().chain(&effects.gained).copied().collect();
        let new: Vec<ResourceId> =
            changed.into_iter().filter(|id| !self.members.contains(id)).collect();
        if new.len() as u64 > allowance.left {
            return Vec::new();
        }
        allowance.left -= new.len() as u64;
        self.members.extend(&new);
        effects.lost.clear();
        effects.gained.clear();
        new
    }

    /// How many accounts have counted for an allowance.
    pub(super) fn counted(&self, allowance: &Allowance) -> u64 {
        if self.since == allowance.since { self.members.len() as u64 } else { 0 }
    }

    /// Takes back accounts that were counted last.
    pub(super) fn take_back(&mut self, accounts: &[ResourceId]) {
        for id in accounts {
            self.members.remove(id);
        }
    }
}
