//! How far events were delivered to a webhook.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::{Read, StoreError, keys};

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
    /// How often a node has taken the webhook up, where nodes share the log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(term: &u64) -> bool {
    *term == 0
}

/// Stores how far events were delivered to a webhook, unless it was taken up again since. Answers whether it has.
pub struct SaveWebhookState {
    /// The name of the webhook.
    pub name: String,
    /// Its state.
    pub state: WebhookState,
}

impl Command for SaveWebhookState {
    type Output = bool;
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<bool, DirectoryError> {
        if stored(tx, &self.name)?.is_some_and(|stored| stored.term > self.state.term) {
            return Ok(false);
        }
        store(tx, &self.name, &self.state)?;
        Ok(true)
    }
}

/// Has one node go on with a webhook by what is stored: the node that went on with it before stores nothing any more. Answers
/// with the state.
pub struct TakeUpWebhook {
    /// The name of the webhook.
    pub name: String,
    /// The state to go on by, instead of the stored one.
    pub state: Option<WebhookState>,
    /// The cursor at which a new webhook begins.
    pub begin: String,
}

impl Command for TakeUpWebhook {
    type Output = WebhookState;
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<WebhookState, DirectoryError> {
        let stored = stored(tx, &self.name)?;
        let term = stored.as_ref().map_or(0, |stored| stored.term) + 1;
        let new = || WebhookState { after: self.begin.clone(), ..WebhookState::default() };
        let state = self.state.clone().or(stored).unwrap_or_else(new);
        let state = WebhookState { term, ..state };
        store(tx, &self.name, &state)?;
        Ok(state)
    }
}

fn stored(state: &dyn Read, name: &str) -> Result<Option<WebhookState>, StoreError> {
    let Some(stored) = state.get(&keys::webhook(name))? else { return Ok(None) };
    let state = serde_json::from_slice(&stored);
    Ok(Some(state.map_err(|_| StoreError::Damaged { key: format!("webhook {name}") })?))
}

fn store(tx: &mut Transaction<'_>, name: &str, state: &WebhookState) -> Result<(), DirectoryError> {
    let bytes = serde_json::to_vec(state);
    let bytes = bytes.map_err(|_| StoreError::Damaged { key: format!("webhook {name}") })?;
    tx.put(keys::webhook(name), bytes);
    let (kind, subject) = ("webhook".to_owned(), name.to_owned());
    tx.record(Event { kind, verb: Verb::Delivered, subject });
    Ok(())
}

impl Directory {
    /// How far events were delivered to a webhook; `None` if it is new.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn webhook_state(&self, name: &str) -> Result<Option<WebhookState>, DirectoryError> {
        Ok(stored(self.shared.store.as_ref(), name)?)
    }
}
