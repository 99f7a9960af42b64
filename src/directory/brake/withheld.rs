//! The changes that were refused while their connection was held: which resources they would have changed.
//!
//! The list is in memory, of bounded length, and starts again with the next hold.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::transaction::PendingChange;
use crate::event::Details;

/// The most resources of one connection that are listed.
const MAX_LISTED: usize = 1_000;

/// The refused changes of a connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WithheldChanges {
    /// The number of refused changes; an identity provider may have tried one several times.
    pub changes: u64,
    /// The resources that they would have changed, in the order of the first attempt.
    pub resources: Vec<WithheldChange>,
    /// The number of refused changes of resources that are not listed.
    pub more: u64,
    /// When the hold began.
    #[serde(skip)]
    since: Timestamp,
    /// The places of the listed changes, by event and subject.
    #[serde(skip)]
    places: BTreeMap<(String, String), usize>,
}

/// The last refused change of one kind to one resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WithheldChange {
    /// When it was last tried.
    pub time: Timestamp,
    /// What it was, such as `user.patched`.
    pub event: String,
    /// The id of the resource; of one that would have been created a new one with each attempt.
    pub id: String,
    /// The name and the differences.
    #[serde(flatten)]
    pub details: Details,
}

impl WithheldChanges {
    /// Adds refused changes of a connection that is held since a moment.
    pub(super) fn note(&mut self, since: Timestamp, now: Timestamp, changes: &[PendingChange]) {
        if self.since != since {
            *self = Self { since, ..Self::default() };
        }
        for PendingChange { event, details, .. } in changes {
            self.changes += 1;
            let change = WithheldChange {
                time: now,
                event: event.to_string(),
                id: event.subject.clone(),
                details: details.clone(),
            };
            // A resource that is to be created has another id each time.
            let name = details.name.clone().unwrap_or_else(|| event.subject.clone());
            let key = (change.event.clone(), name);
            let count = self.resources.len();
            let place = self.places.get(&key).copied();
            match place.and_then(|place| self.resources.get_mut(place)) {
                Some(listed) => *listed = change,
                None if count < MAX_LISTED => {
                    self.places.insert(key, count);
                    self.resources.push(change);
                }
                None => self.more += 1,
            }
        }
    }
}
