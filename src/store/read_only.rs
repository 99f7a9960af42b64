//! A store for reading a data folder that no server uses: nothing on disk is created or altered.
//!
//! sled writes to its files as soon as it is opened. So state is read from what the database itself is
//! rebuilt from, the newest snapshot that is whole and the log behind it, and held in memory. No lock is
//! taken either: a server may start meanwhile, and only appends.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::check::{self, Check};
use super::maintenance::{Maintenance, MaintenanceReport, RetentionPolicy};
use super::past_state::PastState;
use super::point_in_time::{self, KeyFilter, PointInTime, Values};
use super::snapshot::{Snapshot, VerifiedSnapshot};
use super::snapshots::Snapshots;
use super::stats::StoreStats;
use super::{Read, Store, StoreError, folder};
use crate::log::local::ReadOnlyLog;
use crate::log::{Frame, Log, Position, ReadLog as _};

/// The state of a data folder at the end of its log, held in memory.
pub struct ReadOnlyStore {
    data: PathBuf,
    log: Arc<ReadOnlyLog>,
    state: BTreeMap<Vec<u8>, Bytes>,
}

impl ReadOnlyStore {
    /// Reads the state of a data folder. A write at the end of the log that was never acknowledged is
    /// passed over, and stays where it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if there is no data folder, if it holds no data yet, or if this user may
    /// not read it; [`StoreError::Log`] if the log is damaged.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        folder::check_readable(data)?;
        let journal = data.join("journal");
        if !journal.exists() {
            return Err(StoreError::Folder(format!(
                "the data directory {} contains no data yet; start scimd once, or restore a backup",
                data.display()
            )));
        }
        let log = Arc::new(ReadOnlyLog::open(&journal)?);
        let snapshots = Snapshots::of(data).list()?.0;
        let end = log.head().sequence;
        // All of it is read, however large.
        let values = point_in_time::past(log.as_ref(), snapshots, end, &|_| true, usize::MAX)?;
        let values = values.unwrap_or_default();
        Ok(Self { data: data.to_owned(), log, state: values.into_iter().collect() })
    }

    /// The log of the data folder, which refuses every change.
    pub fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }
}

impl Read for ReadOnlyStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        for (key, value) in self.state.range::<[u8], _>((start, Bound::Unbounded)) {
            if !key.starts_with(prefix) || visit(key, value.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl PointInTime for ReadOnlyStore {
    fn last_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        point_in_time::last_before(self.log.as_ref(), moment)
    }

    fn past(
        &self,
        sequence: u64,
        wanted: KeyFilter<'_>,
        limit: usize,
    ) -> Result<Option<Values>, StoreError> {
        let snapshots = Snapshots::of(&self.data).list()?.0;
        point_in_time::past(self.log.as_ref(), snapshots, sequence, wanted, limit)
    }
}

impl Maintenance for ReadOnlyStore {
    fn at_rest(&self) -> &dyn Read {
        self
    }

    fn snapshot(&self, _: Timestamp) -> Result<VerifiedSnapshot, StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn compact_at_next_start(&self) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn check(&self) -> Vec<Check> {
        let snapshots = check::snapshots(&Snapshots::of(&self.data), self.log.as_ref());
        vec![check::journal(self.log.as_ref()), snapshots]
    }

    fn newest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(Snapshots::of(&self.data).list()?.0.into_iter().next())
    }

    fn oldest_state(&self) -> Result<PastState, StoreError> {
        PastState::oldest(self.log.as_ref(), Snapshots::of(&self.data).list()?.0)
    }

    fn keep(&self, _: Timestamp, _: RetentionPolicy) -> Result<MaintenanceReport, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

impl Store for ReadOnlyStore {
    fn applied(&self) -> Position {
        self.log.head()
    }

    fn apply(&self, _: &[Arc<Frame>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn is_stopped(&self) -> bool {
        true
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            journal_sequence: self.log.head().sequence,
            journal_bytes: None,
            database_bytes: 0,
            held_bytes: self.state.iter().map(|(key, value)| key.len() + value.len()).sum(),
            free_bytes: None,
            snapshot: self.newest_snapshot().ok().flatten().map(|snapshot| snapshot.taken),
            syncs: self.log.stats().syncs,
        }
    }

    fn warm_up(&self) -> bool {
        false
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(self)
    }
}
