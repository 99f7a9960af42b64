//! The state at an earlier time: the newest older snapshot, and the log after it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::StoreError;
use super::snapshot::{self, Snapshot};
use crate::log::{ReadLog, Write, try_read};

/// After how many changes the log says how far it is.
const TELL: u64 = 250_000;

/// Which keys are asked for.
pub type KeyFilter<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Reads the state at an earlier time, without blocking changes.
pub trait PointInTime {
    /// The last change that was made before a moment, by the clock of then; 0 if there was none yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if the journal does not reach back that far.
    fn last_before(&self, moment: Timestamp) -> Result<u64, StoreError>;

    /// The keys that are wanted, as they were after a change, with their values; `None` if they have more than
    /// `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if neither journal nor snapshots reach back that far.
    fn past(
        &self,
        sequence: u64,
        wanted: KeyFilter<'_>,
        limit: usize,
    ) -> Result<Option<Values>, StoreError>;
}

/// Keys with their values.
pub type Values = HashMap<Vec<u8>, Bytes>;

/// [`PointInTime::last_before`] for a log.
pub(super) fn last_before(log: &dyn ReadLog, moment: Timestamp) -> Result<u64, StoreError> {
    if let Some(last) = log.last_before(moment)? {
        return Ok(last);
    }
    match log.start()?.sequence {
        0 => Ok(0),
        before => Err(StoreError::Folder(format!(
            "can't go back that far: the history starts at change {}; older states are in older backups only",
            before + 1
        ))),
    }
}

/// [`PointInTime::past`] for a log and snapshots, newest first.
pub(super) fn past(
    log: &dyn ReadLog,
    snapshots: Vec<Snapshot>,
    sequence: u64,
    wanted: KeyFilter<'_>,
    limit: usize,
) -> Result<Option<Values>, StoreError> {
    let begin = log.start()?.sequence;
    let usable = |snapshot: &Snapshot| (begin..=sequence).contains(&snapshot.position.sequence);
    for snapshot in snapshots.into_iter().filter(usable) {
        match past_from(log, Some(&snapshot), sequence, wanted, limit) {
            Ok(values) => return Ok(values),
            Err(StoreError::Log(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "a snapshot can't be used; using an older one");
            }
        }
    }
    if begin > 0 {
        return Err(StoreError::Folder(format!(
            "can't go back that far: the history starts at change {}, and no snapshot goes back to change \
             {sequence}; older states are in older backups only",
            begin + 1
        )));
    }
    past_from(log, None, sequence, wanted, limit)
}

/// State after a change, from a snapshot or from nothing, and the changes that came then.
fn past_from(
    log: &dyn ReadLog,
    snapshot: Option<&Snapshot>,
    sequence: u64,
    wanted: KeyFilter<'_>,
    limit: usize,
) -> Result<Option<Values>, StoreError> {
    let mut held = Held { values: Values::new(), bytes: 0, limit };
    if let Some(Snapshot { path, .. }) = snapshot {
        tracing::info!(snapshot = %path.display(), "reading the earlier state");
        snapshot::load(path, |writes| {
            held.apply(writes, wanted);
            Ok(())
        })?;
    }
    let from = snapshot.map_or(0, |snapshot| snapshot.position.sequence);
    let mut follows = snapshot;
    try_read::<StoreError>(log, from, |frame| {
        if let Some(Snapshot { path, position, .. }) = follows.take()
            && frame.previous != position.hash
        {
            let reason = format!("its change {from} differs from the one in this journal");
            return Err(StoreError::Snapshot { path: path.clone(), reason });
        }
        if frame.sequence > sequence {
            return Ok(ControlFlow::Break(()));
        }
        if frame.sequence.is_multiple_of(TELL) {
            tracing::info!(change = frame.sequence, upto = sequence, "reading the earlier state");
        }
        held.apply(Arc::unwrap_or_clone(frame).writes, wanted);
        match held.is_full() {
            true => Ok(ControlFlow::Break(())),
            false => Ok(ControlFlow::Continue(())),
        }
    })?;
    Ok((!held.is_full()).then_some(held.values))
}

/// Values that are collected, and how many bytes they may have.
struct Held {
    values: Values,
    bytes: usize,
    limit: usize,
}

impl Held {
    fn is_full(&self) -> bool {
        self.bytes > self.limit
    }

    /// Applies those of some writes that are wanted, as long as there is room.
    fn apply(&mut self, writes: Vec<Write>, wanted: KeyFilter<'_>) {
        for Write { key, value } in writes.into_iter().filter(|write| wanted(&write.key)) {
            if self.is_full() {
                return;
            }
            let before = match value {
                Some(value) => {
                    self.bytes = self.bytes.saturating_add(value.len());
                    self.values.insert(key, value)
                }
                None => self.values.remove(&key),
            };
            self.bytes = self.bytes.saturating_sub(before.map_or(0, |value| value.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Actor, Details, Event, Head, Verb};
    use crate::log::{Append, LogEntry};
    use crate::store::Store as _;
    use crate::store::folder::DataFolder;
    use crate::store::local::{LocalStore, StoreLimits};
    use crate::store::maintenance::{Maintenance as _, RetentionPolicy};

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn store(folder: &std::path::Path) -> LocalStore {
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        LocalStore::open(DataFolder::open(folder).unwrap(), limits, [7; 16], moment(0)).unwrap()
    }

    /// A change at a moment that sets a key to it, and `xbig` to so many bytes.
    fn change(store: &LocalStore, second: i64, size: usize) {
        let event = Event { kind: "test".to_owned(), verb: Verb::Replaced, subject: String::new() };
        let details = Details::default();
        let head = Head { time: moment(second), actor: Actor::System, event, details };
        let set =
            |key: &[u8], value: Vec<u8>| Write { key: key.to_vec(), value: Some(value.into()) };
        let writes = vec![set(b"xa", second.to_string().into_bytes()), set(b"xbig", vec![7; size])];
        let appended =
            store.log().append(vec![LogEntry { head, writes }], store.applied()).unwrap();
        let Append::Done(frames) = appended else { panic!("the log has moved") };
        store.apply(&frames).unwrap();
    }

    fn past(store: &LocalStore, sequence: u64) -> Result<Option<Bytes>, StoreError> {
        let values = store.past(sequence, &|key| key == b"xa", 100)?;
        Ok(values.expect("they are few").remove(&b"xa"[..]))
    }

    #[test]
    fn the_clock_may_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert_eq!(store.last_before(moment(5)).unwrap(), 0);
        for second in [1, 2, 10, 3, 4] {
            change(&store, second, 1);
        }
        for (second, last) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 5), (11, 5)] {
            assert_eq!(store.last_before(moment(second)).unwrap(), last, "{second}");
        }
        for (sequence, value) in [(0, None), (1, Some("1")), (3, Some("10")), (5, Some("4"))] {
            assert_eq!(past(&store, sequence).unwrap().as_deref(), value.map(str::as_bytes));
        }
    }

    #[test]
    fn more_than_may_be_held_is_not_held() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        (1..=3).for_each(|second| change(&store, second, 1_000));
        let held = |limit| store.past(3, &|key| key.starts_with(b"x"), limit).unwrap().is_some();
        // Of a value that was replaced, the last one counts.
        assert!(held(1_001) && !held(1_000));
        store.snapshot(moment(3)).unwrap();
        assert!(held(1_001) && !held(1_000));
    }

    #[test]
    fn a_journal_that_was_trimmed_reaches_back_to_the_oldest_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        const MIB: usize = 1024 * 1024;
        (1..=40).for_each(|second| change(&store, second, MIB));
        let oldest = store.snapshot(moment(40)).unwrap().snapshot;
        (41..=45).for_each(|second| change(&store, second, MIB));
        let journal = Some(Duration::ZERO);
        let keeping = RetentionPolicy { snapshots: 2, journal, needed: None };
        assert!(store.keep(moment(100), keeping).unwrap().trimmed > 0);

        let begin = store.log().start().unwrap().sequence;
        assert!((1..40).contains(&begin), "{begin}");
        assert_eq!(store.last_before(moment(44)).unwrap(), 43);
        for sequence in [40, 43, 45] {
            let value = sequence.to_string();
            assert_eq!(past(&store, sequence).unwrap().unwrap(), value.as_bytes(), "{sequence}");
        }
        let told = past(&store, 39).unwrap_err().to_string();
        assert!(told.contains("no snapshot goes back to change 39"), "{told}");
        let told = store.last_before(moment(2)).unwrap_err().to_string();
        assert!(told.contains(&format!("history starts at change {}", begin + 1)), "{told}");

        // One that is damaged is passed over; here there is no older one.
        std::fs::write(&oldest.path, "nothing").unwrap();
        assert!(past(&store, 43).is_err());
        assert_eq!(past(&store, 45).unwrap().unwrap(), &b"45"[..]);
    }
}
