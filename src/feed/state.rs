//! What readers of the feed and the thread that follows the log share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::watch;

use super::cursor::FeedId;
use super::ring::RingIndex;
use super::unwanted::UnwantedParts;
use crate::log::ReadLog;

/// The folder of the feed in the data directory.
pub const FOLDER: &str = "feed";

/// What readers and the thread that follows the log share.
pub(super) struct FeedState {
    pub(super) id: FeedId,
    pub(super) folder: PathBuf,
    pub(super) log: Arc<dyn ReadLog>,
    pub(super) index: Arc<RingIndex>,
    /// What filters of consumers that keep up need not look at.
    pub(super) unwanted: UnwantedParts,
    /// The change up to which events are written.
    pub(super) written: watch::Sender<u64>,
    /// When that change was made, in microseconds since 1970.
    pub(super) written_time: AtomicI64,
    pub(super) stopping: AtomicBool,
    /// Whether a reader has met damage: then all is derived again.
    pub(super) is_damaged: AtomicBool,
    /// What consumers still need of the log.
    pub(super) holds: Mutex<Vec<Need>>,
}

/// Answers the change behind which a consumer needs all.
pub(super) type Need = Box<dyn Fn() -> Option<u64> + Send + Sync>;

impl FeedState {
    pub(super) fn new(log: Arc<dyn ReadLog>, data: &Path) -> Self {
        Self {
            id: FeedId::of_log(log.identity()),
            folder: data.join(FOLDER),
            log,
            index: Arc::default(),
            unwanted: UnwantedParts::default(),
            written: watch::Sender::new(0),
            written_time: AtomicI64::new(0),
            stopping: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            holds: Mutex::default(),
        }
    }

    /// Wakes those who wait: the events of a change, which was made at a moment, are written.
    pub(super) fn publish(&self, sequence: u64, time: Option<Timestamp>) {
        if let Some(time) = time {
            self.written_time.store(time.as_microsecond(), Ordering::Relaxed);
        }
        self.written.send_replace(sequence);
    }
}
