//! The change feed: every change of users, groups and access, as events in order.
//!
//! One thread follows the log, derives the events of each change from the state before and after it, and puts them into
//! files as finished bytes. Readers copy those bytes: what a consumer costs does not depend on what an event says. The
//! files are no more than a cache: they are derived again, byte for byte, if they are missing.

mod cursor;
mod derive;
mod error;
mod event;
mod filter;
mod follower;
mod ring;
mod state;
#[cfg(test)]
mod tests;
mod unwanted;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

pub use cursor::Cursor;
pub use error::FeedError;
pub use event::EventType;
pub use filter::EventFilter;
pub use state::FOLDER;

use crate::directory::Directory;
use crate::log::ReadLog;
use crate::log::local::LogFiles;
use crate::store::StoreError;
use follower::Follower;
use state::FeedState;

/// The most events of one page.
pub const MAX_EVENTS: usize = 1_000;

/// The change feed of a directory. Its methods block for as long as files are read.
pub struct Feed {
    shared: Arc<FeedState>,
    thread: Option<JoinHandle<()>>,
}

/// Events in order, as a consumer gets them.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The events.
    pub events: Vec<FeedEvent>,
    /// Where to go on; it moves also if there are no events that are wanted.
    pub next: Cursor,
    /// Reading after it gives everything that is kept.
    pub oldest: Cursor,
    /// Behind the last event.
    pub head: Cursor,
}

impl FeedPage {
    /// How many bytes its events have.
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.bytes.len()).sum()
    }
}

/// An event.
#[derive(Clone, Debug)]
pub struct FeedEvent {
    /// Behind the event; as text it is the event's id.
    pub cursor: Cursor,
    /// Its type.
    pub event_type: EventType,
    /// A JSON object (CloudEvents 1.0).
    pub bytes: Bytes,
}

/// The feed in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedStats {
    /// How many changes in the log have no events yet.
    pub behind: u64,
    /// How long ago the last change was made that has its events, if there are later ones.
    pub behind_time: Duration,
    /// How many bytes its files have.
    pub bytes: u64,
}

impl Feed {
    /// Begins to follow the log of a directory, and keeps the events in a data directory. A feed that is missing or of
    /// another log is derived again meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if no thread can be started.
    pub fn start(directory: &Directory, data: &Path) -> Result<Self, StoreError> {
        let (log, store, local) = directory.parts_to_follow();
        let shared = Arc::new(FeedState::new(Arc::clone(&log) as Arc<dyn ReadLog>, data));
        let follower = Follower::new(log, store, local, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || follower.run())
            .map_err(|error| StoreError::Folder(format!("can't start the feed thread: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Opens the feed in a data directory as it is, for reading; nothing follows the log.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the log or the files can't be read.
    pub fn open_read_only(data: &Path) -> Result<Self, StoreError> {
        let (log, _) = LogFiles::inspect(&data.join("journal"))?;
        let shared = Arc::new(FeedState::new(Arc::new(log), data));
        ring::open_read_only(&shared.folder, shared.id, &shared.index)
            .map_err(|error| StoreError::Folder(format!("can't read the change feed: {error}")))?;
        Ok(Self { shared, thread: None })
    }

    /// Reads the events after a cursor that a filter wants: at most `limit`, of 1 to 1,000, and at most 8 MiB of them.
    ///
    /// # Errors
    ///
    /// [`FeedError`].
    pub fn read(
        &self,
        after: &Cursor,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<FeedPage, FeedError> {
        let shared = &self.shared;
        if after.feed != shared.id || after.sequence > shared.log.head().sequence {
            return Err(FeedError::Foreign);
        }
        let trimmed = || *after < self.oldest();
        if trimmed() {
            return Err(FeedError::Trimmed { oldest: self.oldest() });
        }
        if let Some(page) = self.recent(after, filter, limit) {
            return Ok(page);
        }
        let wants = |record: &ring::RingRecord<'_>| filter.wants(record);
        let (place, limit) = (after.place(), limit.clamp(1, MAX_EVENTS));
        let page = ring::read(&shared.folder, &shared.index, place, &wants, limit);
        let page = page.map_err(|failure| {
            if trimmed() {
                return FeedError::Trimmed { oldest: self.oldest() };
            }
            if failure.is_damage && !shared.is_damaged.swap(true, Ordering::SeqCst) {
                tracing::error!(
                    reason = failure.reason,
                    "the change feed is damaged: it is derived again from the log"
                );
            }
            FeedError::Unavailable(failure.reason)
        })?;
        Ok(self.page(page))
    }

    /// Reads as [`Feed::read`] does, but from memory alone, where the last events are. `None` if some may be missing
    /// there. It does not block.
    pub fn recent(&self, after: &Cursor, filter: &EventFilter, limit: usize) -> Option<FeedPage> {
        let FeedState { id, index, unwanted, .. } = &*self.shared;
        if after.feed != *id || after.sequence > index.written() {
            return None;
        }
        let wants = |record: &ring::RingRecord<'_>| filter.wants(record);
        let (limit, place) = (limit.clamp(1, MAX_EVENTS), after.place());
        let begin = if filter.wants_all() { place } else { unwanted.skip(filter, place) };
        let page = index.recent.read(begin, &wants, limit)?;
        if page.events.is_empty() && !filter.wants_all() {
            unwanted.note(filter, begin, page.next);
        }
        Some(self.page(page))
    }

    /// A page as it is given out.
    fn page(&self, page: ring::Page) -> FeedPage {
        let cursor = |(sequence, index)| Cursor { feed: self.shared.id, sequence, index };
        let events = page.events.into_iter().map(|(place, event_type, bytes)| FeedEvent {
            cursor: cursor(place),
            event_type,
            bytes,
        });
        FeedPage {
            events: events.collect(),
            next: cursor(page.next),
            oldest: self.oldest(),
            head: self.head(),
        }
    }

    /// Reading after it gives everything that is kept.
    pub fn oldest(&self) -> Cursor {
        self.cursor_at(self.shared.index.oldest())
    }

    /// Behind the last event that is written.
    pub fn head(&self) -> Cursor {
        self.cursor_at(self.shared.index.written())
    }

    /// Behind all events of a change, and of those before it.
    pub fn cursor_at(&self, sequence: u64) -> Cursor {
        Cursor::behind_all(self.shared.id, sequence)
    }

    /// The change up to which events are written, as it moves.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.shared.written.subscribe()
    }

    /// Has the log keep what a consumer still needs: `need` answers the change behind which all are, or `None` if it
    /// needs nothing. It is asked whenever the log may be trimmed.
    pub fn hold(&self, need: impl Fn() -> Option<u64> + Send + Sync + 'static) {
        self.shared.holds.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(need));
    }

    /// The change behind which all are still needed, by the feed itself and by those who hold the log.
    pub fn needed(&self) -> u64 {
        let holds = self.shared.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.iter().filter_map(|need| need()).fold(self.needed_by_itself(), u64::min)
    }

    /// The change behind which the feed itself still needs all.
    pub fn needed_by_itself(&self) -> u64 {
        self.shared.index.written()
    }

    /// The figures, at the moment `now`.
    pub fn stats(&self, now: Timestamp) -> FeedStats {
        let behind = self.shared.log.head().sequence.saturating_sub(self.shared.index.written());
        let written = self.shared.written_time.load(Ordering::Relaxed);
        let written = Timestamp::from_microsecond(written).unwrap_or(now);
        let since =
            if behind == 0 { Duration::ZERO } else { now.duration_since(written).unsigned_abs() };
        FeedStats { behind, behind_time: since, bytes: self.shared.index.bytes() }
    }
}

impl Drop for Feed {
    /// Waits until the thread has written the events of what was changed, for a second at most.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
