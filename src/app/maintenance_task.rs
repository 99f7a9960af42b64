//! The maintenance of a running server: takes snapshots, and removes snapshots and log files whose
//! retention is over.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Stopwatch;
use crate::config::{Config, EventsConfig, RetentionConfig, StoreConfig};
use crate::directory::Directory;
use crate::feed::Feed;
use crate::store::maintenance::RetentionPolicy;
use crate::text::causes;
use crate::webhook::Webhooks;

/// The time after a start before the first maintenance.
const START_PAUSE: Duration = Duration::from_secs(60);
/// The longest time after which failed maintenance is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Maintains the directory until dropped. A failure is logged and stops nothing else.
pub(super) async fn run(
    directory: Arc<Directory>,
    feed: Arc<Feed>,
    webhooks: Arc<Webhooks>,
    config: &Config,
) {
    let (settings, events) = (config.store.clone(), config.events);
    let interval = settings.snapshot_interval;
    let mut pause = due(&directory, interval).max(START_PAUSE.min(interval));
    loop {
        tokio::time::sleep(pause).await;
        let (directory, feed) = (Arc::clone(&directory), Arc::clone(&feed));
        let (settings, webhooks) = (settings.clone(), Arc::clone(&webhooks));
        let done = tokio::task::spawn_blocking(move || {
            let retention = retention(&settings, events, &feed);
            let is_maintained = maintain(&directory, retention);
            limit_log(&directory, &feed, &webhooks, retention, events.max_log_bytes());
            is_maintained.then(|| match due(&directory, interval) {
                // Nothing has changed since an old snapshot, which will do.
                Duration::ZERO => interval,
                due => due,
            })
        });
        pause = done.await.ok().flatten().unwrap_or_else(|| RETRY_PAUSE.min(interval));
    }
}

/// What is kept: of the log at least what `[events]` says, and what the feed and its consumers still need.
fn retention(settings: &StoreConfig, events: EventsConfig, feed: &Feed) -> RetentionPolicy {
    let journal = match settings.keep_journal {
        RetentionConfig::Forever => None,
        RetentionConfig::For(age) => Some(age.max(events.retention)),
    };
    RetentionPolicy { snapshots: settings.keep_snapshots, journal, needed: Some(feed.needed()) }
}

/// Gives up webhooks if the log is larger than it may be because they hold changes that would go otherwise.
fn limit_log(
    directory: &Directory,
    feed: &Feed,
    webhooks: &Webhooks,
    retention: RetentionPolicy,
    max_bytes: u64,
) {
    let Some(age) = retention.journal else { return };
    let now = directory.now();
    let made_before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let log = directory.log();
    let is_too_large = || {
        let mut is_old = false;
        let read = log.read(feed.needed(), &mut |frame| {
            is_old = frame.head.time < made_before;
            ControlFlow::Break(())
        });
        read.is_ok() && is_old && log.stats().bytes.unwrap_or_default() > max_bytes
    };
    webhooks.give_up_slowest(is_too_large, |needed| {
        let needed = needed.unwrap_or(u64::MAX).min(feed.needed_by_itself());
        let kept = directory.keep(RetentionPolicy { needed: Some(needed), ..retention });
        kept.is_ok_and(|kept| kept.trimmed > 0)
    });
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
