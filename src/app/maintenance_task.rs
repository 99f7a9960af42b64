//! Keeps the directory in order while it is served: a snapshot every so often, and an end to what is
//! no longer kept.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::config::{Retention, Store};
use crate::directory::Directory;
use crate::store::maintenance::RetentionPolicy;
use crate::text::causes;

/// How long a server that has just started is left alone.
const START_PAUSE: Duration = Duration::from_secs(60);
/// After what time at most something that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Works until dropped. What fails is logged, and stops nothing else.
pub(super) async fn run(directory: Arc<Directory>, settings: Store) {
    let interval = settings.snapshot_interval;
    let mut pause = due(&directory, interval).max(START_PAUSE.min(interval));
    loop {
        tokio::time::sleep(pause).await;
        let (directory, keeping) = (Arc::clone(&directory), keeping(&settings));
        let kept = tokio::task::spawn_blocking(move || {
            keep_once(&directory, keeping).then(|| due(&directory, interval))
        });
        pause = kept.await.ok().flatten().unwrap_or_else(|| RETRY_PAUSE.min(interval));
    }
}

fn keeping(settings: &Store) -> RetentionPolicy {
    let journal = match settings.keep_journal {
        Retention::Forever => None,
        Retention::For(age) => Some(age),
    };
    RetentionPolicy { snapshots: settings.keep_snapshots, journal }
}

/// The time until the next snapshot is due.
fn due(directory: &Directory, interval: Duration) -> Duration {
    match directory.since_snapshot() {
        Ok(since) => since.map_or(Duration::ZERO, |since| interval.saturating_sub(since)),
        Err(_) => Duration::ZERO,
    }
}

/// Whether all was done.
fn keep_once(directory: &Directory, keeping: RetentionPolicy) -> bool {
    let took = Stopwatch::start();
    match directory.keep(keeping) {
        Ok(kept) => {
            let snapshot = kept.snapshot.snapshot;
            tracing::info!(
                snapshot = %snapshot.path.display(), change = snapshot.position.sequence,
                bytes = kept.snapshot.bytes, ms = took.elapsed().as_millis(),
                journal_files_removed = kept.trimmed, "there is a snapshot of the present state"
            );
            true
        }
        Err(error) => {
            tracing::error!(
                %error, cause = causes(&error), "no snapshot could be taken; it is tried again within the hour, and \
                 all else goes on: make room in the data folder, check the disk"
            );
            false
        }
    }
}
