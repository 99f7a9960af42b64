//! Maintenance: snapshots, compaction, retention, and the record of a restore.

use std::time::Duration;

use jiff::Timestamp;

use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Event, Verb};
use crate::store::StoreError;
use crate::store::maintenance::{Maintenance, MaintenanceReport, RetentionPolicy};
use crate::store::snapshot::VerifiedSnapshot;

impl Directory {
    /// Maintenance of state that is kept on this machine.
    fn local_maintenance(&self) -> Result<&dyn Maintenance, StoreError> {
        self.shared.store.maintenance().ok_or(StoreError::Unsupported("snapshots"))
    }

    /// Takes a snapshot of the state, while changes go on.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it harms nothing else.
    pub fn snapshot(&self) -> Result<VerifiedSnapshot, StoreError> {
        self.local_maintenance()?.snapshot(self.now())
    }

    /// Has the next start compact the database.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    pub fn compact_at_next_start(&self) -> Result<(), StoreError> {
        self.local_maintenance()?.compact_at_next_start()
    }

    /// The time since the newest snapshot was taken, by the time of records; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn since_snapshot(&self) -> Result<Option<Duration>, StoreError> {
        let now = self.now();
        let newest = self.local_maintenance()?.newest_snapshot()?;
        Ok(newest.map(|snapshot| now.duration_since(snapshot.taken).try_into().unwrap_or_default()))
    }

    /// Takes a snapshot if the newest is out of date, and removes what retention no longer keeps.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; it harms nothing else.
    pub fn keep(&self, keeping: RetentionPolicy) -> Result<MaintenanceReport, StoreError> {
        self.local_maintenance()?.keep(self.now(), keeping)
    }
}

/// Records that the directory was restored from a backup.
pub struct Restored {
    /// The change up to which the backup holds the state.
    pub sequence: u64,
    /// When it was taken.
    pub taken: Timestamp,
}

impl Command for Restored {
    type Output = ();
    const OUTLASTS_SETTINGS: bool = true;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let subject = format!("change {} of {}", self.sequence, self.taken);
        tx.record(Event { kind: "backup".to_owned(), verb: Verb::Restored, subject });
        Ok(())
    }
}
