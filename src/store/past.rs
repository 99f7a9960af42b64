//! State as it was: the newest snapshot that is old enough, and the journal behind it.

use std::collections::HashMap;
use std::sync::PoisonError;

use bytes::Bytes;
use jiff::Timestamp;

use super::StoreError;
use super::local::LocalStore;
use super::snapshot::{self, Snapshot};
use crate::journal::{Frame, JournalError, Write};

/// After how many changes the log says how far it is.
const TELL: u64 = 250_000;

/// Which keys are asked for.
pub type Wanted<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Reading state as it was. Nobody has to wait for it.
pub trait Past {
    /// The last change that was made before a moment, by the clock of then; 0 if there was none yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if the journal does not reach back that far.
    fn last_before(&self, moment: Timestamp) -> Result<u64, StoreError>;

    /// The keys that are wanted, as they were after a change, with their values.
    ///
    /// # Errors
    ///
    /// [`StoreError::Folder`] if neither journal nor snapshots reach back that far.
    fn past(&self, sequence: u64, wanted: Wanted<'_>) -> Result<Values, StoreError>;
}

/// Keys with their values.
pub type Values = HashMap<Vec<u8>, Bytes>;

impl Past for LocalStore {
    fn last_before(&self, moment: Timestamp) -> Result<u64, StoreError> {
        if let Some(last) = self.history.last_before(moment)? {
            return Ok(last);
        }
        match self.history.begin()?.sequence {
            0 => Ok(0),
            before => Err(StoreError::Folder(format!(
                "the journal begins with change {}, which was made later; what was before is in older \
                 backups, if anywhere",
                before + 1
            ))),
        }
    }

    fn past(&self, sequence: u64, wanted: Wanted<'_>) -> Result<Values, StoreError> {
        let begin = self.history.begin()?.sequence;
        let found = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner).list()?.0;
        let usable = |snapshot: &Snapshot| (begin..=sequence).contains(&snapshot.position.sequence);
        for snapshot in found.into_iter().filter(usable) {
            match self.past_from(Some(&snapshot), sequence, wanted) {
                Ok(values) => return Ok(values),
                Err(StoreError::Journal(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(%error, "a snapshot can't be used and is passed over for an older one");
                }
            }
        }
        if begin > 0 {
            return Err(StoreError::Folder(format!(
                "the journal begins with change {}, and no snapshot that is kept goes back to change \
                 {sequence}; what was then is in older backups, if anywhere",
                begin + 1
            )));
        }
        self.past_from(None, sequence, wanted)
    }
}

/// Why reading ends before the journal does.
enum End {
    /// All that was asked for was read.
    Reached,
    /// It failed.
    Failed(StoreError),
}

impl From<JournalError> for End {
    fn from(error: JournalError) -> Self {
        Self::Failed(error.into())
    }
}

impl LocalStore {
    /// State after a change, from a snapshot or from nothing, and the changes that came then.
    fn past_from(
        &self,
        snapshot: Option<&Snapshot>,
        sequence: u64,
        wanted: Wanted<'_>,
    ) -> Result<Values, StoreError> {
        let mut values = Values::new();
        if let Some(Snapshot { path, .. }) = snapshot {
            tracing::info!(snapshot = %path.display(), "reading how things were");
            snapshot::load(path, |writes| {
                apply(&mut values, writes, wanted);
                Ok(())
            })?;
        }
        let from = snapshot.map_or(0, |snapshot| snapshot.position.sequence);
        let mut follows = snapshot;
        let read = self.history.follow::<End>(from, |frame| {
            let Frame { sequence: number, previous, writes, .. } = frame;
            if let Some(Snapshot { path, position, .. }) = follows.take()
                && previous != position.hash
            {
                let reason = format!("its change {from} is not the one that this journal has");
                return Err(End::Failed(StoreError::Snapshot { path: path.clone(), reason }));
            }
            if number > sequence {
                return Err(End::Reached);
            }
            apply(&mut values, writes, wanted);
            if number.is_multiple_of(TELL) {
                tracing::info!(change = number, upto = sequence, "reading how things were");
            }
            Ok(())
        });
        match read {
            Ok(()) | Err(End::Reached) => Ok(values),
            Err(End::Failed(error)) => Err(error),
        }
    }
}

fn apply(values: &mut Values, writes: Vec<Write>, wanted: Wanted<'_>) {
    for Write { key, value } in writes.into_iter().filter(|write| wanted(&write.key)) {
        match value {
            Some(value) => drop(values.insert(key, value)),
            None => drop(values.remove(&key)),
        }
    }
}
