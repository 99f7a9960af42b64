//! The change feed, as operators read it.

use serde::{Deserialize, Serialize};

use super::context::RunningServer;
use super::reply::OperatorReply;
use crate::feed::{Cursor, EventFilter, Feed};

/// The events of one page at most.
const LIMIT: usize = 200;

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

pub(super) fn read(server: Option<&RunningServer>, query: &EventQuery) -> OperatorReply {
    let Some(server) = server else {
        return OperatorReply::Failed("no server runs on this data directory".to_owned());
    };
    read_page(&server.feed, query).map_or_else(OperatorReply::Failed, OperatorReply::Events)
}

/// Reads a page of the feed.
///
/// # Errors
///
/// A sentence that says what is wrong with the query, or why the feed can't be read.
pub fn read_page(feed: &Feed, query: &EventQuery) -> Result<EventPage, String> {
    let [types, connections] =
        [&query.types, &query.connections].map(|list| list.iter().map(String::as_str));
    let filter = EventFilter::new(types, connections, []).map_err(|error| error.to_string())?;
    let after = match &query.after {
        Some(after) => Cursor::parse(after).map_err(|error| error.to_string())?,
        None => feed.oldest(),
    };
    let page = feed.read(&after, &filter, LIMIT).map_err(|error| error.to_string())?;
    let events = page.events.iter();
    let events = events.map(|event| String::from_utf8_lossy(&event.bytes).into_owned());
    let is_last = page.next >= page.head;
    Ok(EventPage { events: events.collect(), next: page.next.to_string(), is_last })
}
