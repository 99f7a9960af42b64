//! State in the data folder: the journal acknowledges, the database answers questions.
//!
//! ```text
//! data folder/
//!   lock        held while a process uses the folder
//!   journal/    every change; the truth
//!   state/      the database; can be rebuilt from the journal at any time
//!   rebuild     there if a damaged record was met: the next start rebuilds the database
//! ```

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::engine::Engine;
use super::folder::DataFolder;
use super::{Change, Conflict, Expectation, Read, Store, StoreError, Write, record};
use crate::journal::{Entry, Frame, History, Journal, Witness};

/// How many changes are applied at once while following the journal at start.
const REPLAY_STEP: usize = 1_000;
const REBUILD_MARK: &str = "rebuild";

/// The store of one appliance.
pub struct LocalStore {
    journal: Mutex<Journal>,
    history: History,
    engine: Engine,
    stopped: AtomicBool,
    folder: DataFolder,
}

impl LocalStore {
    /// Opens the store and brings the database up to the end of the journal.
    ///
    /// `new_identity` is taken if there is no journal yet. `set_aside` is how a database folder that
    /// can't be used is renamed: it must name a moment, and is never deleted.
    ///
    /// # Errors
    ///
    /// The journal is damaged, or neither it nor the database can be read.
    pub fn open(
        folder: DataFolder,
        cache_mib: u32,
        new_identity: [u8; 16],
        set_aside: &str,
    ) -> Result<Self, StoreError> {
        let state = folder.path().join("state");
        let mark = folder.path().join(REBUILD_MARK);
        let opened = open_engine(&state, &mark, cache_mib);
        let applied = opened.as_ref().ok().and_then(|(_, applied)| *applied);
        let witness = applied.map(|(identity, sequence)| Witness {
            identity,
            sequence,
            name: "the database".to_owned(),
        });
        let journal =
            Journal::open(&folder.path().join("journal"), new_identity, witness.as_slice())?;
        let history = journal.history();
        let usable = opened.and_then(|(engine, applied)| match applied {
            Some((identity, _)) if identity != journal.identity() => {
                Err("it belongs to another journal".to_owned())
            }
            _ => Ok(engine),
        });
        let engine = match usable {
            Ok(engine) => engine,
            Err(reason) => {
                // Only if the journal can be read to its end is there something to rebuild from.
                history.follow::<StoreError>(0, |_| Ok(()))?;
                let aside = folder.path().join(format!("state.{set_aside}"));
                tracing::error!(
                    %reason, kept_as = %aside.display(), changes = history.end().sequence,
                    "the database can't be used: it is set aside and rebuilt from the journal"
                );
                fs::rename(&state, &aside).map_err(|error| {
                    StoreError::Folder(format!("can't set aside {}: {error}", state.display()))
                })?;
                Engine::open(&state, cache_mib)?
            }
        };
        replay(&history, &engine)?;
        if mark.exists() {
            engine.flush()?;
            fs::remove_file(&mark).map_err(|error| {
                StoreError::Folder(format!("can't remove {}: {error}", mark.display()))
            })?;
        }
        Ok(Self {
            journal: Mutex::new(journal),
            history,
            engine,
            stopped: AtomicBool::new(false),
            folder,
        })
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record at a key, with its checksum checked. A damaged one is noted, so that the next start
    /// rebuilds the database.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], or [`StoreError::Engine`] if it could not be read.
    fn checked(&self, key: &[u8], value: Bytes) -> Result<Bytes, StoreError> {
        if super::keys::is_record(key) && record::decode(&value).is_none() {
            let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let mark = self.folder.path().join(REBUILD_MARK);
            let error = StoreError::Damaged { key };
            if let Err(cause) = fs::write(&mark, error.to_string()) {
                tracing::error!(%cause, "can't note that the database must be rebuilt");
            }
            return Err(error);
        }
        Ok(value)
    }

    fn expectation_holds(
        &self,
        expectation: &Expectation,
        pending: &HashMap<Vec<u8>, Option<Bytes>>,
    ) -> Result<bool, StoreError> {
        let (Expectation::Absent(key) | Expectation::Version(key, _)) = expectation;
        let value = match pending.get(key) {
            Some(value) => value.clone(),
            None => self.engine.get(key)?,
        };
        Ok(match expectation {
            Expectation::Absent(_) => value.is_none(),
            Expectation::Version(_, version) => {
                value.is_some_and(|value| record::version(&value) == Some(*version))
            }
        })
    }

    fn try_commit(&self, group: Vec<Change>) -> Result<Vec<Result<(), Conflict>>, StoreError> {
        let mut pending: HashMap<Vec<u8>, Option<Bytes>> = HashMap::new();
        let mut entries = Vec::with_capacity(group.len());
        let mut outcomes = Vec::with_capacity(group.len());
        for change in group {
            let mut holds = true;
            for expectation in &change.expectations {
                holds = holds && self.expectation_holds(expectation, &pending)?;
            }
            outcomes.push(if holds { Ok(()) } else { Err(Conflict) });
            if holds {
                let writes = change.writes.iter();
                pending.extend(writes.map(|write| (write.key.clone(), write.value.clone())));
                entries.push(Entry { head: change.head, writes: change.writes });
            }
        }
        if !entries.is_empty() {
            let mut journal = self.journal();
            journal.append(&entries)?;
            let writes = entries.iter().flat_map(|entry| &entry.writes);
            self.engine.apply(writes, self.history.identity(), journal.last_sequence())?;
        }
        Ok(outcomes)
    }
}

/// The identity of the journal that a database follows, and how far it has followed it.
type Applied = Option<([u8; 16], u64)>;

/// Opens the database, or says why it can't be used.
fn open_engine(state: &Path, mark: &Path, cache_mib: u32) -> Result<(Engine, Applied), String> {
    if mark.exists() && state.exists() {
        return Err("a damaged record was met".to_owned());
    }
    let engine = Engine::open(state, cache_mib).map_err(|error| error.to_string())?;
    let applied = engine.applied().map_err(|error| error.to_string())?;
    Ok((engine, applied))
}

fn replay(history: &History, engine: &Engine) -> Result<(), StoreError> {
    let applied = engine.applied()?.map_or(0, |(_, applied)| applied);
    let last = history.end().sequence;
    let missing = last - applied;
    if missing > REPLAY_STEP as u64 {
        tracing::info!(changes = missing, "following the journal");
    }
    let mut step: Vec<Write> = Vec::new();
    let mut frames = 0;
    history.follow::<StoreError>(applied, |frame| {
        step.extend(frame.writes);
        frames += 1;
        if frames % REPLAY_STEP == 0 || frame.sequence == last {
            engine.apply(step.iter(), history.identity(), frame.sequence)?;
            step.clear();
        }
        if frames % (100 * REPLAY_STEP) == 0 {
            tracing::info!(done = frames, of = missing, "following the journal");
        }
        Ok(())
    })
}

impl Read for LocalStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.engine.get(key)? {
            Some(value) => self.checked(key, value).map(Some),
            None => Ok(None),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.engine.scan(prefix, after, visit)
    }
}

impl Store for LocalStore {
    fn commit(&self, group: Vec<Change>) -> Result<Vec<Result<(), Conflict>>, StoreError> {
        if self.is_stopped() {
            return Err(StoreError::Stopped);
        }
        let outcome = self.try_commit(group);
        if outcome.is_err() {
            self.stopped.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn follow(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Frame) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.history.follow(after, visit)
    }

    fn identity(&self) -> [u8; 16] {
        self.history.identity()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        if let Err(error) = self.engine.flush() {
            tracing::error!(%error, "the database was not written out; the next start follows the journal");
        }
    }
}
