//! How far events were delivered to a webhook.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::{StoreError, keys};

/// How far events were delivered to a webhook, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookState {
    /// Everything up to this cursor is delivered.
    pub after: String,
    /// The cursor up to which batches are fixed: those behind `after`, each as large as may be.
    pub until: Option<String>,
    /// Since when deliveries fail, if they do.
    pub failing_since: Option<Timestamp>,
    /// Why nothing is delivered until an operator says so, if that is so.
    pub parked: Option<String>,
}

/// Stores how far events were delivered to a webhook.
pub struct SaveWebhookState {
    /// The name of the webhook.
    pub name: String,
    /// Its state.
    pub state: WebhookState,
}

impl Command for SaveWebhookState {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let key = keys::webhook(&self.name);
        let state = serde_json::to_vec(&self.state)
            .map_err(|_| StoreError::Damaged { key: self.name.clone() })?;
        tx.put(key, state);
        let (kind, subject) = ("webhook".to_owned(), self.name.clone());
        tx.record(Event { kind, verb: Verb::Delivered, subject });
        Ok(())
    }
}

impl Directory {
    /// How far events were delivered to a webhook; `None` if it is new.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn webhook_state(&self, name: &str) -> Result<Option<WebhookState>, DirectoryError> {
        let key = keys::webhook(name);
        let Some(stored) = self.shared.store.get(&key)? else { return Ok(None) };
        let state = serde_json::from_slice(&stored);
        Ok(Some(state.map_err(|_| StoreError::Damaged { key: format!("webhook {name}") })?))
    }
}
