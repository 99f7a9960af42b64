//! Snapshots, checks, retention and past state of a data folder.

use std::fs;
use std::sync::PoisonError;

use jiff::Timestamp;

use super::open::mark_for_compaction;
use super::store::LocalStore;
use crate::log::SnapshotFile;
use crate::store::check::{self, Check};
use crate::store::maintenance::{Maintenance, MaintenanceReport, RetentionPolicy};
use crate::store::past_state::PastState;
use crate::store::point_in_time::{self, KeyFilter, PointInTime, Values};
use crate::store::snapshot::{self, Snapshot, VerifiedSnapshot};
use crate::store::snapshots::Snapshots;
use crate::store::{Read, StoreError};
use crate::text::with_causes;

impl PointInTime for LocalStore {
    fn last_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        point_in_time::last_before(self.log.as_ref(), moment)
    }

    fn past(
        &self,
        sequence: u64,
        wanted: KeyFilter<'_>,
        limit: usize,
    ) -> Result<Option<Values>, StoreError> {
        // A snapshot that is being taken has no name yet, so that nothing waits for it.
        let snapshots = Snapshots::of(self.folder.path()).list()?.0;
        point_in_time::past(self.log.as_ref(), snapshots, sequence, wanted, limit)
    }
}

impl Maintenance for LocalStore {
    fn at_rest(&self) -> &dyn Read {
        // Where that fails the store has stopped, and reading fails as well.
        let _ = self.state.catch_up();
        self.state.database.as_ref()
    }

    fn snapshot(&self, now: Timestamp) -> Result<VerifiedSnapshot, StoreError> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(&snapshots, now)
    }

    fn compact_at_next_start(&self) -> Result<(), StoreError> {
        mark_for_compaction(self.folder.path())
    }

    fn check(&self) -> Vec<Check> {
        // Nothing is locked: a snapshot or a backup does not wait for the check of those that there are.
        let of_snapshots = check::snapshots(&Snapshots::of(self.folder.path()), self.log.as_ref());
        vec![check::journal(self.log.as_ref()), of_snapshots, self.state.check()]
    }

    fn newest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(Snapshots::of(self.folder.path()).list()?.0.into_iter().next())
    }

    fn oldest_state(&self) -> Result<PastState, StoreError> {
        PastState::oldest(self.log.as_ref(), Snapshots::of(self.folder.path()).list()?.0)
    }

    fn keep(
        &self,
        now: Timestamp,
        keeping: RetentionPolicy,
    ) -> Result<MaintenanceReport, StoreError> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.log.head();
        let present = snapshots.list()?.0.into_iter().find(|snapshot| snapshot.position == end);
        // Where nothing has changed, the last one will do, if it still is what was written.
        let whole = match present.map(|snapshot| snapshot::load(&snapshot.path, |_| Ok(()))) {
            Some(Ok(whole)) => whole,
            _ => self.take(&snapshots, now)?,
        };
        // Nothing waits for the database. Only this removes snapshots.
        drop(snapshots);
        let snapshot = &whole.snapshot;
        let file = SnapshotFile { path: &snapshot.path, position: snapshot.position };
        match self.log.keep_snapshot(&file) {
            Ok(true) => tracing::info!(
                change = snapshot.position.sequence,
                bytes = whole.bytes,
                "the snapshot is in the database"
            ),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                error = with_causes(&error),
                "the snapshot was not put into the database; trying again with the next one"
            ),
        }
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = snapshots.retain(keeping.snapshots)?;
        // Nor for its log to be trimmed.
        drop(snapshots);
        let mut trimmed = 0;
        if let (Some(oldest), Some(age)) = (oldest, keeping.journal) {
            let made_before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
            let upto = oldest.position.sequence.min(keeping.needed.unwrap_or(u64::MAX));
            trimmed = self.log.trim(upto, made_before)?;
        }
        Ok(MaintenanceReport { snapshot: whole, trimmed })
    }
}

impl LocalStore {
    fn take(&self, snapshots: &Snapshots, now: Timestamp) -> Result<VerifiedSnapshot, StoreError> {
        let newest = snapshots.list()?.0.into_iter().next();
        let bytes = match newest.map(|snapshot| fs::metadata(&snapshot.path)) {
            Some(Ok(metadata)) => metadata.len(),
            _ => self.state.database.engine.bytes(),
        };
        self.disk_space.check(bytes)?;
        self.state.catch_up()?;
        let applied = self.state.database.engine.applied()?.map_or(0, |(_, applied)| applied);
        snapshots.take(self.state.database.as_ref(), self.log.as_ref(), applied, now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::event::{Actor, Details, Event, Head, Verb};
    use crate::log::{Append, LogEntry, Write};
    use crate::store::Store as _;
    use crate::store::engine::Engine;
    use crate::store::folder::DataFolder;
    use crate::store::local::StoreLimits;

    #[test]
    fn past_state_the_list_and_the_check_do_not_wait_for_a_snapshot_that_is_being_taken() {
        let folder = tempfile::tempdir().unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let now = Timestamp::UNIX_EPOCH;
        let opened = DataFolder::open(folder.path()).unwrap();
        let store = LocalStore::open(opened, limits, [7; 16], now).unwrap();
        store.snapshot(now).unwrap();
        let taking = store.snapshots.lock().unwrap();
        let (done, ends) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(store.newest_snapshot().unwrap().is_some());
                assert!(store.past(0, &|_| true, 1024).unwrap().is_some());
                assert!(store.check().iter().all(|check| check.faults == 0));
                done.send(()).unwrap();
            });
            let ended = ends.recv_timeout(Duration::from_secs(10));
            drop(taking);
            ended.unwrap();
        });
    }

    #[test]
    fn the_database_has_all_changes_when_a_snapshot_is_taken_and_when_the_store_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let now = Timestamp::UNIX_EPOCH;
        let open = || {
            let opened = DataFolder::open(folder.path()).unwrap();
            LocalStore::open(opened, limits, [7; 16], now).unwrap()
        };
        let store = open();
        while store.warm_up() {}
        let applied = |store: &LocalStore| {
            store.state.database.engine.applied().unwrap().map_or(0, |(_, applied)| applied)
        };
        let append = |store: &LocalStore| {
            let event = Event { kind: String::new(), verb: Verb::Created, subject: String::new() };
            let (actor, details) = (Actor::System, Details::default());
            let head = Head { time: now, actor, event, details };
            let put = Write { key: b"key".to_vec(), value: Some("value".into()) };
            let entries = vec![LogEntry { head, writes: vec![put] }];
            let Append::Done(frames) = store.log.append(entries, store.applied()).unwrap() else {
                panic!("another process has appended");
            };
            store.apply(&frames).unwrap();
        };
        append(&store);
        let policy = RetentionPolicy { snapshots: 1, journal: Some(Duration::ZERO), needed: None };
        store.keep(now, policy).unwrap();
        assert_eq!(applied(&store), 1);
        append(&store);
        drop(store);
        // sled lets go of its file a moment later.
        let engine = (0..1_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            Engine::open(&folder.path().join("state"), 8).ok()
        });
        let engine = engine.unwrap();
        assert_eq!(engine.applied().unwrap(), Some(([7; 16], 2)));
    }
}
