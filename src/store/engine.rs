//! The embedded database: current state, and the only file that names sled.
//!
//! Everything is in one tree, and changes are made in batches, each of which sled applies as a whole or
//! not at all. What was applied last may be lost in a crash; the key [`keys::APPLIED`], set in the last
//! batch of a group of changes, says from where the journal has to be followed again.
//!
//! Batches alone write. sled 0.34 is known to hang when single inserts run beside reads; a batch
//! takes its process-wide lock, so that no read runs beside it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::keys;
use super::watchdog::Watchdog;
use super::{Read, StoreError, Write};

/// The time after which a batch counts as stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many writes are a batch where nobody reads the database meanwhile: until a batch is done, sled keeps each
/// page that it changes, as often as it changes it.
pub(super) const PART: usize = 500;

/// How often, and how long, sled's release of its file is waited for.
const RELEASE_TRIES: u32 = 3_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

/// The open database.
pub(super) struct Engine {
    watchdog: Watchdog,
    database: sled::Db,
    folder: PathBuf,
    /// Whether a write has failed. Part of it may be in memory then, and is not to be read.
    half_written: AtomicBool,
}

fn failed(action: &'static str) -> impl FnOnce(sled::Error) -> StoreError {
    move |error| StoreError::Engine { action, reason: error.to_string() }
}

impl Engine {
    /// Opens the database in `folder`, with a cache of `cache_mib` mebibytes.
    ///
    /// It is opened in a thread of its own: on a damaged file sled may panic rather than fail.
    pub(super) fn open(folder: &Path, cache_mib: u32) -> Result<Self, StoreError> {
        let config =
            sled::Config::new().path(folder).cache_capacity(u64::from(cache_mib) * 1024 * 1024);
        let opening = std::thread::Builder::new()
            .name("store-open".to_owned())
            .spawn(move || config.open())
            .map_err(|error| StoreError::Engine { action: "open", reason: error.to_string() })?;
        let database = match opening.join() {
            Ok(opened) => opened.map_err(failed("open"))?,
            Err(_) => {
                return Err(StoreError::Engine {
                    action: "open",
                    reason: "it panicked".to_owned(),
                });
            }
        };
        let stuck = database.clone();
        let watchdog = Watchdog::start(PATIENCE, move || rescue(&stuck))
            .map_err(|error| StoreError::Engine { action: "watch", reason: error.to_string() })?;
        let half_written = AtomicBool::new(false);
        Ok(Self { watchdog, database, folder: folder.to_owned(), half_written })
    }

    /// Closes the database with everything on disk: sled itself does not sync what it writes. It can be
    /// opened again at once.
    pub(super) fn close(self) -> Result<(), StoreError> {
        let Self { watchdog, database, folder, .. } = self;
        database.flush().map_err(failed("flush"))?;
        drop(watchdog);
        drop(database);
        await_release(&folder).map_err(StoreError::file("close", &folder))?;
        sync_all(&folder).map_err(StoreError::file("sync", &folder))
    }

    /// The identity of the journal that the state follows, and how far it has followed it.
    pub(super) fn applied(&self) -> Result<Option<([u8; 16], u64)>, StoreError> {
        let (journal, applied) = (self.get(keys::JOURNAL)?, self.get(keys::APPLIED)?);
        Ok(journal.zip(applied).and_then(|(journal, applied)| {
            let applied = u64::from_le_bytes(applied.as_ref().try_into().ok()?);
            Some((journal.as_ref().try_into().ok()?, applied))
        }))
    }

    /// Carries out writes on a state that is not complete before [`Engine::apply`] says where it stands.
    pub(super) fn put(&self, writes: impl Iterator<Item = Write>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for Write { key, value } in writes {
            match value {
                Some(value) => batch.insert(key, value.as_ref()),
                None => batch.remove(key),
            }
        }
        self.database.apply_batch(batch).map_err(failed("write"))
    }

    /// Applies writes that bring the state to `sequence` of the journal `identity`, in batches of at most `part`
    /// writes. Where it stands is written with the last one: after a crash between two of them all writes are
    /// made again.
    pub(super) fn apply<'a>(
        &self,
        writes: impl Iterator<Item = &'a Write>,
        part: usize,
        identity: [u8; 16],
        sequence: u64,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        let mut in_batch = 0;
        for write in writes {
            if in_batch == part {
                self.apply_batch(std::mem::take(&mut batch))?;
                in_batch = 0;
            }
            match &write.value {
                Some(value) => batch.insert(write.key.as_slice(), value.as_ref()),
                None => batch.remove(write.key.as_slice()),
            }
            in_batch += 1;
        }
        batch.insert(keys::JOURNAL, &identity);
        batch.insert(keys::APPLIED, &sequence.to_le_bytes());
        self.apply_batch(batch)
    }

    fn apply_batch(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.is_whole("write")?;
        let apply = AssertUnwindSafe(|| self.database.apply_batch(batch));
        let applied = match self.watchdog.watch(|| catch_unwind(apply)) {
            Ok(applied) => applied.map_err(failed("write")),
            Err(_) => Err(StoreError::Engine { action: "write", reason: "it panicked".to_owned() }),
        };
        if applied.is_err() {
            self.half_written.store(true, Ordering::SeqCst);
        }
        applied
    }

    /// As if a write had failed.
    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.half_written.store(true, Ordering::SeqCst);
    }

    /// Fails if a write has failed.
    fn is_whole(&self, action: &'static str) -> Result<(), StoreError> {
        if self.half_written.load(Ordering::SeqCst) {
            let reason = "a change was only partly written; restart scimd to recover".to_owned();
            return Err(StoreError::Engine { action, reason });
        }
        Ok(())
    }

    /// As [`Read::scan`], from any place on.
    pub(super) fn scan_from(
        &self,
        from: Bound<&[u8]>,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.is_whole("read")?;
        for entry in self.database.range::<&[u8], _>((from, Bound::Unbounded)) {
            let (key, value) = entry.map_err(failed("read"))?;
            if !key.starts_with(prefix) || visit(&key, Bytes::from_owner(value)).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Gives the database up as it is: after an error sled may, when it is closed, wait for ever for a
    /// write that has failed.
    pub(super) fn abandon(&self) {
        std::mem::forget(self.database.clone());
    }

    /// How many bytes its files have.
    pub(super) fn bytes(&self) -> u64 {
        self.database.size_on_disk().unwrap_or_default()
    }

    /// Writes out what is only in memory, so that the next start has less to follow.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.database.flush().map(drop).map_err(failed("flush"))
    }
}

/// Wakes what waits within sled for a write that has failed: a failure that meets its own flushing at
/// the wrong moment leaves its waiters asleep, and that holds the lock that every batch needs. Asking once more
/// makes sled see the failure and wake all.
fn rescue(database: &sled::Db) {
    let answer = database.flush();
    tracing::warn!(?answer, "the database writes slowly");
}

/// Waits until sled lets go of its file: it does so a moment after it was dropped, from another thread, and
/// until then will not open it again.
fn await_release(folder: &Path) -> io::Result<()> {
    let file = File::open(folder.join("db"))?;
    for _ in 0..RELEASE_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(RELEASE_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::TimedOut))
}

/// Syncs a folder with all that is in it.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

impl Read for Engine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.is_whole("read")?;
        let value = self.database.get(key).map_err(failed("read"))?;
        Ok(value.map(Bytes::from_owner))
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.scan_from(after.map_or(Bound::Included(prefix), Bound::Excluded), prefix, visit)
    }
}
