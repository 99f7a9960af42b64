//! Webhooks, as operators see them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A webhook and how far its deliveries are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebhookInfo {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Everything up to this cursor is delivered.
    pub after: String,
    /// The number of changes in the log that are not delivered yet.
    pub behind: u64,
    /// The number of deliveries since the start that were taken.
    pub delivered: u64,
    /// The number of events in those.
    pub events: u64,
    /// The number of deliveries since the start that failed.
    pub failed: u64,
    /// Why the last delivery failed, if it did.
    pub error: Option<String>,
    /// Since when deliveries fail, if they do.
    pub failing_since: Option<Timestamp>,
    /// Why nothing is delivered until an operator says so, if that is so.
    pub parked: Option<String>,
    /// Whether this node sends; one of those that share a log does.
    #[serde(default = "yes")]
    pub sends: bool,
    /// The node that sends, if it is another one and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_by: Option<String>,
}

fn yes() -> bool {
    true
}

impl WebhookInfo {
    /// Which other node sends, for people; `None` if this one does.
    pub fn other_sender(&self) -> Option<String> {
        match (&self.sent_by, self.sends) {
            (_, true) => None,
            (Some(node), false) => Some(format!("sent by {node}")),
            (None, false) => Some("no node sends at the moment".to_owned()),
        }
    }
}

/// The webhooks of a running server. Its methods wait, so they are not for a thread that drives asynchronous tasks.
pub trait WebhookControl: Send + Sync {
    /// Every webhook.
    fn list(&self) -> Vec<WebhookInfo>;

    /// Sends a test; a webhook that is parked goes on if it is taken.
    ///
    /// # Errors
    ///
    /// Why it was not taken, or that there is no such webhook.
    fn test(&self, name: &str) -> Result<(), String>;

    /// Delivers everything after a cursor, also what was delivered before; `oldest` and `head` are cursors, too.
    ///
    /// # Errors
    ///
    /// Why that can't be done.
    fn resend(&self, name: &str, after: &str) -> Result<(), String>;
}
