//! Pages of the change feed, and what is asked for.

use serde::{Deserialize, Serialize};

/// Which events of the feed are wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EventQuery {
    /// The cursor behind which the page begins; `None` for everything that is kept.
    pub after: Option<String>,
    /// Types such as `user.*`; empty for all.
    pub types: Vec<String>,
    /// The connections by which changes are wanted; empty for all changes.
    pub connections: Vec<String>,
}

/// A page of events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, as an application gets them: a JSON object each.
    pub events: Vec<String>,
    /// Where to go on.
    pub next: String,
    /// Whether there is nothing behind it at the moment.
    pub is_last: bool,
}
