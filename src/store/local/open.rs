//! Opening the data folder: bringing the database up to the head of the log, or rebuilding it.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::store::LocalStore;
use crate::log::local::{HighWaterMark, LocalLog};
use crate::log::postgres::{PostgresLog, PostgresSettings};
use crate::log::{Frame, Log, LogError, Position, ReadLog, try_read};
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::disk_space::DiskSpace;
use crate::store::engine::{Engine, PART};
use crate::store::folder::DataFolder;
use crate::store::rebuild::{self, RebuildSource};
use crate::store::snapshot::Snapshot;
use crate::store::snapshots::Snapshots;
use crate::store::spare_files::SpareFiles;
use crate::store::state::State;
use crate::text::with_causes;

/// How many changes are applied at once while following the journal at start.
const REPLAY_STEP: usize = 1_000;
/// How many bytes of changes are applied at once then, roughly.
const REPLAY_BYTES: usize = 32 * 1024 * 1024;
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
    /// Space that must be left on the disk for changes to be accepted, in MiB.
    pub min_free_mib: u32,
}

/// A state folder that does not follow a log yet.
pub struct UnattachedState {
    folder: DataFolder,
    limits: StoreLimits,
    opened: Result<(Engine, Applied), String>,
}

/// Opens the log and the state of a data folder.
///
/// `new_identity` is taken if there is no log yet. A database that can't be used is renamed after the
/// moment `now`, and never deleted.
///
/// # Errors
///
/// Acknowledged changes are missing from the log, or what a rebuild of the database needs is missing;
/// then everything is left as it is.
pub fn open(
    folder: DataFolder,
    limits: StoreLimits,
    new_identity: [u8; 16],
    now: Timestamp,
) -> Result<(Arc<LocalLog>, LocalStore), StoreError> {
    let log_folder = folder.path().join("journal");
    let state = UnattachedState::open(folder, limits)?;
    let marks = state.high_water_marks()?;
    let log = Arc::new(LocalLog::open(&log_folder, new_identity, &marks)?);
    let store = state.follow(Arc::clone(&log) as Arc<dyn Log>, now)?;
    Ok((log, store))
}

impl UnattachedState {
    /// Opens the state in a data folder. That the database can't be used is no error here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], or [`StoreError::File`] if the file system can't be asked.
    pub fn open(folder: DataFolder, limits: StoreLimits) -> Result<Self, StoreError> {
        let data = folder.path();
        DiskSpace::new(data, LEAST_TO_OPEN_MIB).check(0)?;
        let opened = open_engine(&data.join("state"), &data.join(REBUILD_MARK), limits.cache_mib);
        Ok(Self { folder, limits, opened })
    }

    /// The changes that the log must have: those that the database and the snapshots have seen.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] if the snapshots can't be listed.
    pub fn high_water_marks(&self) -> Result<Vec<HighWaterMark>, StoreError> {
        let applied = self.opened.as_ref().ok().and_then(|(_, applied)| *applied);
        let database = applied.map(|(identity, sequence)| HighWaterMark {
            identity,
            sequence,
            name: "the database".to_owned(),
        });
        let (snapshots, _) = Snapshots::of(self.folder.path()).list()?;
        let snapshots = snapshots.into_iter().map(|snapshot| HighWaterMark {
            identity: snapshot.identity,
            sequence: snapshot.position.sequence,
            name: format!("the snapshot {}", snapshot.path.display()),
        });
        Ok(database.into_iter().chain(snapshots).collect())
    }

    /// Has a snapshot from the database, if there is nothing here from which to follow the log. It need not be there if
    /// the log was never trimmed.
    fn fetch_snapshot(&self, log: &PostgresLog) -> Result<(), StoreError> {
        let kept = log.start()?.sequence..=log.head().sequence;
        let applied = self.opened.as_ref().ok().and_then(|(_, applied)| *applied);
        let is_of_log = |identity| identity == log.identity();
        let follows = |identity, sequence| is_of_log(identity) && kept.contains(&sequence);
        if applied.is_some_and(|(identity, sequence)| follows(identity, sequence)) {
            return Ok(());
        }
        let snapshots = Snapshots::of(self.folder.path());
        let has = |snapshot: &Snapshot| follows(snapshot.identity, snapshot.position.sequence);
        if snapshots.list()?.0.iter().any(has) {
            return Ok(());
        }
        let fetched =
            snapshots.receive(log.identity(), |file, path| log.fetch_snapshot(file, path));
        match fetched {
            Ok(Some(whole)) => {
                tracing::info!(
                    change = whole.snapshot.position.sequence,
                    bytes = whole.bytes,
                    "beginning from the newest snapshot in the database"
                );
                Ok(())
            }
            outcome if log.start()?.sequence == 0 => {
                if let Err(error) = outcome {
                    tracing::warn!(
                        error = with_causes(&error),
                        "the snapshot in the database can't be used; following the whole log"
                    );
                }
                Ok(())
            }
            Ok(None) => Err(StoreError::Folder(format!(
                "the database keeps changes from {} on only, and no snapshot of those before: start a node that has \
                 them first, and wait until it has put one there (store.snapshot_interval)",
                log.start()?.sequence + 1
            ))),
            Err(error) => Err(error),
        }
    }

    /// Brings the state up to the head of a log, rebuilding the database if it can't be used. A database
    /// that is set aside is renamed after the moment `now`.
    ///
    /// # Errors
    ///
    /// The log can't be read, or does not reach back to what the database needs.
    pub fn follow(self, log: Arc<dyn Log>, now: Timestamp) -> Result<LocalStore, StoreError> {
        let Self { folder, limits, opened } = self;
        let data = folder.path();
        let StoreLimits { cache_mib, memory_mib, min_free_mib } = limits;
        let (state, mark) = (data.join("state"), data.join(REBUILD_MARK));
        let engine = match assess(opened, log.as_ref())? {
            Condition::Usable(engine) => engine,
            Condition::Empty(engine) => match rebuild::prepare(data, log.as_ref(), cache_mib)? {
                RebuildSource::Journal => engine,
                source @ RebuildSource::Snapshot(_) => {
                    drop(engine);
                    tracing::warn!(%source, "the database is empty; rebuilding it");
                    rebuild::swap(data, &source, None)?;
                    Engine::open(&state, cache_mib)?
                }
            },
            Condition::Unusable(reason) => {
                let source = rebuild::prepare(data, log.as_ref(), cache_mib)?;
                let aside = data.join(format!("state.damaged-{}", now.as_millisecond()));
                tracing::error!(
                    %reason, kept_as = %aside.display(), %source, changes = log.head().sequence,
                    "the database can't be used; setting it aside and rebuilding it from the journal"
                );
                rebuild::swap(data, &source, Some(&aside))?;
                Engine::open(&state, cache_mib)?
            }
        };
        let applied = replay(log.as_ref(), &engine)?;
        if mark.exists() {
            engine.flush()?;
            fs::remove_file(&mark).map_err(StoreError::file("remove", &mark))?;
        }
        let compact = data.join(COMPACT_MARK);
        let engine = if compact.exists() {
            let engine = rebuild::compact(data, engine, log.as_ref(), applied, cache_mib, now)?;
            fs::remove_file(&compact).map_err(StoreError::file("remove", &compact))?;
            engine
        } else {
            engine
        };
        let database = Database { engine, mark, turn: Mutex::default() };
        let state =
            State::new(database, memory_mib as usize * MIB, log.identity(), applied.sequence);
        let disk_space = DiskSpace::new(data, min_free_mib);
        let spare_files = SpareFiles::of(folder.path())?;
        LocalStore::new(log, state, applied, disk_space, spare_files, folder)
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

impl LocalStore {
    /// Opens the log and the state of a data folder; as [`open`].
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(
        folder: DataFolder,
        limits: StoreLimits,
        new_identity: [u8; 16],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        open(folder, limits, new_identity, now).map(|(_, store)| store)
    }
}

impl LocalStore {
    /// Opens the log in a database with its copy in a data folder, and the state that follows it.
    ///
    /// What is wrong with the copy is set aside after the moment `now`, and copied again.
    ///
    /// # Errors
    ///
    /// The database can't be reached or may not be written to; the folder can't be used.
    pub fn open_shared(
        folder: DataFolder,
        limits: StoreLimits,
        database: PostgresSettings,
        new_identity: [u8; 16],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let log_folder = folder.path().join("journal");
        let state = UnattachedState::open(folder, limits)?;
        let log =
            PostgresLog::open(database, &log_folder, new_identity, now).map_err(
                |error| match error {
                    error @ (LogError::Database(_) | LogError::Unavailable(_)) => {
                        StoreError::Folder(error.to_string())
                    }
                    error => error.into(),
                },
            )?;
        state.fetch_snapshot(&log)?;
        state.follow(Arc::new(log), now)
    }
}

/// The identity of the journal that a database follows, and how far it has followed it.
type Applied = Option<([u8; 16], u64)>;

/// Opens the database, or says why it can't be used.
fn open_engine(state: &Path, mark: &Path, cache_mib: u32) -> Result<(Engine, Applied), String> {
    if mark.exists() && state.exists() {
        return Err("a damaged record was found".to_owned());
    }
    let engine = Engine::open(state, cache_mib).map_err(|error| error.to_string())?;
    let applied = engine.applied().map_err(|error| error.to_string())?;
    Ok((engine, applied))
}

/// A database, compared with the log.
enum Condition {
    /// It follows the log.
    Usable(Engine),
    /// There is nothing in it, and the log says that there should be.
    Empty(Engine),
    /// It is of no use, for this reason.
    Unusable(String),
}

fn assess(
    opened: Result<(Engine, Applied), String>,
    log: &dyn ReadLog,
) -> Result<Condition, StoreError> {
    let (engine, applied) = match opened {
        Ok(opened) => opened,
        Err(reason) => return Ok(Condition::Unusable(reason)),
    };
    Ok(match applied {
        None if log.head().sequence == 0 => Condition::Usable(engine),
        None => Condition::Empty(engine),
        Some((identity, _)) if identity != log.identity() => {
            Condition::Unusable("it belongs to another journal".to_owned())
        }
        Some((_, sequence)) if sequence < log.start()?.sequence => {
            Condition::Unusable(format!("the journal does not reach back to its change {sequence}"))
        }
        Some((_, sequence)) if sequence > log.head().sequence => {
            return Err(StoreError::Folder(format!(
                "the database is at change {sequence}, but the log ends with {}: acknowledged changes are missing \
                 from the log",
                log.head().sequence
            )));
        }
        Some(_) => Condition::Usable(engine),
    })
}

/// Applies to the database what it lacks of the log; returns the position that it has reached.
fn replay(log: &dyn ReadLog, engine: &Engine) -> Result<Position, StoreError> {
    let applied = engine.applied()?.map_or(0, |(_, applied)| applied);
    let head = log.head();
    if head.sequence == applied {
        return Ok(head);
    }
    let missing = head.sequence - applied;
    if missing > REPLAY_STEP as u64 {
        tracing::info!(changes = missing, "following the journal");
    }
    let mut reached = None;
    let mut step: Vec<Arc<Frame>> = Vec::new();
    let mut bytes = 0;
    let mut frames = 0;
    let apply = |step: &mut Vec<Arc<Frame>>, at: Position| {
        let writes = step.iter().flat_map(|frame| &frame.writes);
        engine.apply(writes, PART, log.identity(), at.sequence)?;
        step.clear();
        Ok::<_, StoreError>(())
    };
    try_read::<StoreError>(log, applied, |frame| {
        let at = frame.position();
        reached = Some(at);
        bytes += frame.bytes();
        step.push(frame);
        frames += 1;
        if step.len() >= REPLAY_STEP || bytes >= REPLAY_BYTES {
            apply(&mut step, at)?;
            bytes = 0;
        }
        if frames % (100 * REPLAY_STEP) == 0 {
            tracing::info!(done = frames, of = missing, "following the journal");
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let reached = reached.unwrap_or(head);
    if !step.is_empty() {
        apply(&mut step, reached)?;
    }
    Ok(reached)
}
