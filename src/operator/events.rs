//! The change feed, as operators read it.

use super::context::RunningServer;
use super::event_page::{EventPage, EventQuery};
use super::feed_info::{ConsumerInfo, FeedInfo};
use super::reply::OperatorReply;
use crate::clock::Clock;
use crate::feed::{Cursor, EventFilter, Feed};

/// The events of one page at most.
const LIMIT: usize = 200;

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

/// The feed with its newest events.
pub(super) fn show(server: Option<&RunningServer>) -> OperatorReply {
    let Some(server) = server else {
        return OperatorReply::Failed("no server runs on this data directory".to_owned());
    };
    let feed = &server.feed;
    let stats = feed.stats(Clock::System.now());
    let consumers = (server.consumers)().into_iter();
    match server.newest_events.of(feed) {
        Ok((newest, is_cut)) => OperatorReply::Feed(FeedInfo {
            oldest: feed.oldest().to_string(),
            head: feed.head().to_string(),
            behind: stats.behind,
            bytes: stats.bytes,
            newest: newest.to_vec(),
            is_cut,
            consumers: consumers
                .map(|(application, waiting)| ConsumerInfo { application, waiting })
                .collect(),
        }),
        Err(error) => OperatorReply::Failed(error.to_string()),
    }
}
