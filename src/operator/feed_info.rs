//! The change feed as operators see it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The change feed: what is kept, the newest events, and who waits for more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeedInfo {
    /// The cursor behind which everything is that is kept.
    pub oldest: String,
    /// The cursor behind the last event.
    pub head: String,
    /// How many changes of the log have no events yet.
    pub behind: u64,
    /// How many bytes the files of the feed have.
    pub bytes: u64,
    /// The newest events, newest first.
    pub newest: Vec<EventInfo>,
    /// Whether later events were left out, because the last changes made too many.
    pub is_cut: bool,
    /// The applications, by name.
    pub consumers: Vec<ConsumerInfo>,
}

/// An event, without its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventInfo {
    /// Its id, which is the cursor behind it.
    pub id: String,
    /// When the change was made.
    pub time: Option<Timestamp>,
    /// Its type, such as `user.created`.
    pub event_type: String,
    /// What it is about, such as `/Users/ID`.
    pub subject: String,
    /// The userName or displayName, if the event has it.
    pub name: String,
}

/// An application that may read the feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsumerInfo {
    /// Its name.
    pub application: String,
    /// How many of its consumers wait for events or stream them at the moment.
    pub waiting: u64,
}

impl EventInfo {
    /// Reads what an application gets of an event.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let event: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |pointer: &str| {
            let text = event.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let names = ["/data/resource/userName", "/data/resource/displayName"].map(text);
        Self {
            id: text("/id"),
            time: text("/time").parse().ok(),
            event_type: text("/type"),
            subject: text("/subject"),
            name: names.into_iter().find(|name| !name.is_empty()).unwrap_or_default(),
        }
    }
}
