//! State in the data folder: the journal acknowledges, the database keeps, memory answers questions.
//!
//! ```text
//! data folder/
//!   lock        held while a process uses the folder
//!   journal/    every change; the truth
//!   snapshots/  the state as it was at some changes
//!   state/      the database; can be rebuilt from journal and snapshots at any time
//!   rebuild     there if a damaged record was met: the next start rebuilds the database
//!   compact     there if the next start shall compact the database
//! ```

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::change_log::ChangeLog;
use super::database::Database;
use super::disk_space::DiskSpace;
use super::engine::Engine;
use super::folder::DataFolder;
use super::rebuild::{self, Source};
use super::snapshots::Snapshots;
use super::state::State;
use super::{Change, Conflict, Expectation, Read, Store, StoreError, Write, record};
use crate::log::LogEntry;
use crate::log::local::{HighWaterMark, LocalLog, LogFiles};

/// How many changes are applied at once while following the journal at start.
const REPLAY_STEP: usize = 1_000;
/// With less room left, a database that can't open for want of it would pass for one that is damaged.
const LEAST_TO_OPEN_MIB: u32 = 4;
const MIB: usize = 1024 * 1024;
const REBUILD_MARK: &str = "rebuild";
const COMPACT_MARK: &str = "compact";

/// What a store may use.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Memory for the page cache of the database, in MiB.
    pub cache_mib: u32,
    /// Memory to hold state in, in MiB; 0: all is read from the database.
    pub memory_mib: u32,
    /// DiskSpace on the disk that must be left for changes to be taken on, in MiB.
    pub min_free_mib: u32,
}

/// The store of one appliance.
pub struct LocalStore {
    journal: Mutex<LocalLog>,
    pub(super) history: LogFiles,
    pub(super) state: State,
    /// One at a time takes snapshots.
    pub(super) snapshots: Mutex<Snapshots>,
    stopped: AtomicBool,
    pub(super) disk_space: DiskSpace,
    pub(super) folder: DataFolder,
}

impl LocalStore {
    /// Opens the store and brings the database up to the end of the journal.
    ///
    /// `new_identity` is taken if there is no journal yet. A database that can't be used is renamed
    /// after the moment `now`, and never deleted.
    ///
    /// # Errors
    ///
    /// Acknowledged changes are missing from the journal, or what the database needs to be built anew
    /// is; then everything is left as it is.
    pub fn open(
        folder: DataFolder,
        limits: StoreLimits,
        new_identity: [u8; 16],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let data = folder.path();
        let StoreLimits { cache_mib, memory_mib, min_free_mib } = limits;
        DiskSpace::new(data, LEAST_TO_OPEN_MIB).check(0)?;
        let (state, mark) = (data.join("state"), data.join(REBUILD_MARK));
        let opened = open_engine(&state, &mark, cache_mib);
        let applied = opened.as_ref().ok().and_then(|(_, applied)| *applied);
        let high_water_marks = high_water_marks(data, applied)?;
        let journal = LocalLog::open(&data.join("journal"), new_identity, &high_water_marks)?;
        let history = journal.history();
        let engine = match judge(opened, &history)? {
            Found::Usable(engine) => engine,
            Found::Empty(engine) => match rebuild::prepare(data, &history, cache_mib)? {
                Source::Journal => engine,
                source @ Source::Snapshot(_) => {
                    drop(engine);
                    tracing::warn!(%source, "the database is empty: it is rebuilt");
                    rebuild::swap(data, &source, None)?;
                    Engine::open(&state, cache_mib)?
                }
            },
            Found::Unusable(reason) => {
                let source = rebuild::prepare(data, &history, cache_mib)?;
                let aside = data.join(format!("state.damaged-{}", now.as_millisecond()));
                tracing::error!(
                    %reason, kept_as = %aside.display(), %source, changes = history.end().sequence,
                    "the database can't be used: it is set aside and rebuilt from the journal"
                );
                rebuild::swap(data, &source, Some(&aside))?;
                Engine::open(&state, cache_mib)?
            }
        };
        replay(&history, &engine)?;
        if mark.exists() {
            engine.flush()?;
            fs::remove_file(&mark).map_err(StoreError::file("remove", &mark))?;
        }
        let compact = data.join(COMPACT_MARK);
        let engine = if compact.exists() {
            let engine = rebuild::compact(data, engine, &history, cache_mib, now)?;
            fs::remove_file(&compact).map_err(StoreError::file("remove", &compact))?;
            engine
        } else {
            engine
        };
        let state = State::new(Database { engine, mark }, memory_mib as usize * MIB);
        Ok(Self {
            journal: Mutex::new(journal),
            history,
            state,
            snapshots: Mutex::new(Snapshots::of(data)),
            stopped: AtomicBool::new(false),
            disk_space: DiskSpace::new(data, min_free_mib),
            folder,
        })
    }

    fn journal(&self) -> MutexGuard<'_, LocalLog> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expectation_holds(
        &self,
        expectation: &Expectation,
        pending: &HashMap<Vec<u8>, Option<Bytes>>,
    ) -> Result<bool, StoreError> {
        let (Expectation::Absent(key) | Expectation::Version(key, _)) = expectation;
        let value = match pending.get(key) {
            Some(value) => value.clone(),
            None => self.state.get(key)?,
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
                entries.push(LogEntry { head: change.head, writes: change.writes });
            }
        }
        if !entries.is_empty() {
            let mut journal = self.journal();
            journal.append(&entries)?;
            let writes = entries.iter().flat_map(|entry| &entry.writes);
            self.state.apply(writes, self.history.identity(), journal.last_sequence())?;
        }
        Ok(outcomes)
    }
}

/// Has the next start of a data folder compact its database.
///
/// # Errors
///
/// [`StoreError::File`].
pub fn mark_for_compaction(data: &Path) -> Result<(), StoreError> {
    let mark = data.join(COMPACT_MARK);
    fs::write(&mark, "").map_err(StoreError::file("write", &mark))
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

/// Who knows of changes that the journal must have.
fn high_water_marks(data: &Path, applied: Applied) -> Result<Vec<HighWaterMark>, StoreError> {
    let database = applied.map(|(identity, sequence)| HighWaterMark {
        identity,
        sequence,
        name: "the database".to_owned(),
    });
    let (snapshots, _) = Snapshots::of(data).list()?;
    let snapshots = snapshots.into_iter().map(|snapshot| HighWaterMark {
        identity: snapshot.identity,
        sequence: snapshot.position.sequence,
        name: format!("the snapshot {}", snapshot.path.display()),
    });
    Ok(database.into_iter().chain(snapshots).collect())
}

/// A database, judged by the journal.
enum Found {
    /// It follows the journal.
    Usable(Engine),
    /// There is nothing in it, and the journal says that there should be.
    Empty(Engine),
    /// For this reason it is of no use.
    Unusable(String),
}

fn judge(
    opened: Result<(Engine, Applied), String>,
    history: &LogFiles,
) -> Result<Found, StoreError> {
    let (engine, applied) = match opened {
        Ok(opened) => opened,
        Err(reason) => return Ok(Found::Unusable(reason)),
    };
    Ok(match applied {
        None if history.end().sequence == 0 => Found::Usable(engine),
        None => Found::Empty(engine),
        Some((identity, _)) if identity != history.identity() => {
            Found::Unusable("it belongs to another journal".to_owned())
        }
        Some((_, sequence)) if sequence < history.begin()?.sequence => {
            Found::Unusable(format!("the journal does not reach back to its change {sequence}"))
        }
        Some(_) => Found::Usable(engine),
    })
}

fn replay(history: &LogFiles, engine: &Engine) -> Result<(), StoreError> {
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
        self.state.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.state.scan(prefix, after, visit)
    }
}

impl Store for LocalStore {
    fn commit(&self, group: Vec<Change>) -> Result<Vec<Result<(), Conflict>>, StoreError> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(StoreError::Stopped);
        }
        self.disk_space.check_for_change()?;
        let outcome = self.try_commit(group);
        if outcome.is_err() {
            self.stopped.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn warm_up(&self) -> bool {
        !self.stopped.load(Ordering::SeqCst) && self.state.load()
    }

    fn at_rest(&self) -> &dyn Read {
        &self.state.database
    }

    fn trail(&self) -> &dyn ChangeLog {
        &self.history
    }

    fn identity(&self) -> [u8; 16] {
        self.history.identity()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.disk_space.check(0).is_err()
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        let engine = &self.state.database.engine;
        let flushed = match self.stopped.load(Ordering::SeqCst) {
            true => Err(StoreError::Stopped),
            false => engine.flush(),
        };
        if let Err(error) = flushed {
            tracing::error!(%error, "the database was not written out; the next start follows the journal");
            engine.abandon();
        }
    }
}
