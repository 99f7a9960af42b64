//! The change feed, as operators read it.

use std::collections::VecDeque;

use super::context::RunningServer;
use super::event_page::{EventPage, EventQuery};
use super::feed_info::{ConsumerInfo, EventInfo, FeedInfo};
use super::reply::OperatorReply;
use crate::clock::Clock;
use crate::feed::{Cursor, EventFilter, Feed, FeedError, FeedEvent, MAX_EVENTS};

/// The events of one page at most.
const LIMIT: usize = 200;
/// The newest events that are shown.
const NEWEST: usize = 25;
/// How many changes are looked at for them first; where these have too few events, eight times as many, and so on.
const FIRST_STEP: u64 = 64;
/// The most changes that are looked at.
const LAST_STEP: u64 = 32_768;
/// The most events that are read for them.
const MAX_READ: usize = 20_000;

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
    match newest(feed) {
        Ok((newest, is_cut)) => OperatorReply::Feed(FeedInfo {
            oldest: feed.oldest().to_string(),
            head: feed.head().to_string(),
            behind: stats.behind,
            bytes: stats.bytes,
            newest,
            is_cut,
            consumers: consumers
                .map(|(application, waiting)| ConsumerInfo { application, waiting })
                .collect(),
        }),
        Err(error) => OperatorReply::Failed(error.to_string()),
    }
}

/// The newest events, newest first, and whether there are later ones that were not reached. The files of the feed are
/// read forwards alone.
fn newest(feed: &Feed) -> Result<(Vec<EventInfo>, bool), FeedError> {
    let (oldest, head) = (feed.oldest(), feed.head());
    let filter = EventFilter::default();
    let mut step = FIRST_STEP;
    loop {
        let begin = head.sequence().saturating_sub(step);
        let is_all = begin <= oldest.sequence();
        let mut after = if is_all { oldest } else { feed.cursor_at(begin) };
        let (mut found, mut read) = (VecDeque::new(), 0);
        while after < head && read < MAX_READ {
            let page = feed.read(&after, &filter, MAX_EVENTS)?;
            read += page.events.len();
            found.extend(page.events);
            let extra = found.len().saturating_sub(NEWEST);
            found.drain(..extra);
            after = page.next;
        }
        if found.len() >= NEWEST || is_all || step >= LAST_STEP || after < head {
            let events = found.iter().rev().map(|event: &FeedEvent| EventInfo::read(&event.bytes));
            return Ok((events.collect(), after < head));
        }
        step *= 8;
    }
}
