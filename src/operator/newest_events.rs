//! The newest events of the change feed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::feed_info::EventInfo;
use crate::feed::{Cursor, EventFilter, Feed, FeedError, FeedEvent, MAX_EVENTS};

/// The newest events that are shown.
const NEWEST: usize = 25;
/// How many changes are looked at for them first; where these have too few events, eight times as many, and so on.
const FIRST_STEP: u64 = 64;
/// The most changes that are looked at.
const LAST_STEP: u64 = 32_768;
/// The most events that are read for them.
const MAX_READ: usize = 20_000;

/// The newest events, kept until there are newer ones: many may look at them again and again.
#[derive(Default)]
pub struct NewestEvents(Mutex<Option<(Cursor, Newest)>>);

/// Events, newest first, and whether there are later ones that were not reached.
type Newest = (Arc<[EventInfo]>, bool);

impl NewestEvents {
    pub(super) fn of(&self, feed: &Feed) -> Result<Newest, FeedError> {
        let head = feed.head();
        // Held while they are read: the others wait for the same.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, newest)) = &*kept
            && *at == head
        {
            return Ok(newest.clone());
        }
        let (events, is_cut) = newest(feed)?;
        let newest = (Arc::from(events), is_cut);
        *kept = Some((head, newest.clone()));
        Ok(newest)
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
