//! The maintenance of a running server: takes snapshots, and removes snapshots and log files whose
//! retention is over.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::config::{Config, EventsConfig, RetentionConfig, StoreConfig};
use crate::directory::Directory;
use crate::feed::Feed;
use crate::store::maintenance::RetentionPolicy;
use crate::text::causes;

/// The time after a start before the first maintenance.
const START_PAUSE: Duration = Duration::from_secs(60);
/// The longest time after which failed maintenance is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Maintains the directory until dropped. A failure is logged and stops nothing else.
pub(super) async fn run(directory: Arc<Directory>, feed: Arc<Feed>, config: &Config) {
    let (settings, events) = (config.store.clone(), config.events);
    let interval = settings.snapshot_interval;
    let mut pause = due(&directory, interval).max(START_PAUSE.min(interval));
    loop {
        tokio::time::sleep(pause).await;
        let (directory, feed) = (Arc::clone(&directory), Arc::clone(&feed));
        let settings = settings.clone();
        let done = tokio::task::spawn_blocking(move || {
            let retention = retention(&settings, events, &directory, &feed);
            maintain(&directory, retention).then(|| match due(&directory, interval) {
                // Nothing has changed since an old snapshot, which will do.
                Duration::ZERO => interval,
                due => due,
            })
        });
        pause = done.await.ok().flatten().unwrap_or_else(|| RETRY_PAUSE.min(interval));
    }
}

/// What is kept: of the log at least what `[events]` says, and what the feed and its consumers still need.
fn retention(
    settings: &StoreConfig,
    events: EventsConfig,
    directory: &Directory,
    feed: &Feed,
) -> RetentionPolicy {
    let journal = match settings.keep_journal {
        RetentionConfig::Forever => None,
        RetentionConfig::For(age) => Some(age.max(events.retention)),
    };
    let log_bytes = directory.log().stats().bytes.unwrap_or_default();
    let needed = feed.needed(log_bytes <= events.max_log_bytes());
    RetentionPolicy { snapshots: settings.keep_snapshots, journal, needed: Some(needed) }
}

/// The time until the next snapshot is due.
fn due(directory: &Directory, interval: Duration) -> Duration {
    match directory.since_snapshot() {
        Ok(since) => since.map_or(Duration::ZERO, |since| interval.saturating_sub(since)),
        Err(_) => Duration::ZERO,
    }
}

/// Maintains the directory once; returns whether everything was done.
fn maintain(directory: &Directory, retention: RetentionPolicy) -> bool {
    let took = Stopwatch::start();
    match directory.keep(retention) {
        Ok(kept) => {
            let snapshot = kept.snapshot.snapshot;
            tracing::info!(
                snapshot = %snapshot.path.display(), change = snapshot.position.sequence,
                bytes = kept.snapshot.bytes, ms = took.elapsed().as_millis(),
                journal_files_removed = kept.trimmed, "snapshot is up to date"
            );
            true
        }
        Err(error) => {
            tracing::error!(
                %error, cause = causes(&error), "snapshot failed, retrying within the hour; check the disk and free \
                    space in the data directory"
            );
            false
        }
    }
}
