//! Rebuilding the database from a snapshot and the log after it, or from the log alone.
//!
//! The new database is built beside the old one and replaces it only when it is complete, so that
//! one of them is intact after a crash.

use std::fmt;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::StoreError;
use super::engine::{Engine, PART};
use super::snapshot::{self, Snapshot};
use super::snapshots::Snapshots;
use super::sync::sync_folder;
use crate::log::{Position, ReadLog, Write};
use crate::text::causes;

/// How many writes are put into the database at once.
const STEP: usize = 5_000;
/// After how many writes the log says how far it is.
const TELL: usize = 250_000;

/// The source of a rebuild.
pub(super) enum RebuildSource {
    /// A snapshot, and the changes of the journal behind it.
    Snapshot(Snapshot),
    /// The journal, from its first change.
    Journal,
}

impl fmt::Display for RebuildSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(snapshot) => snapshot.path.display().fmt(f),
            Self::Journal => f.write_str("the journal"),
        }
    }
}

/// Finds the best source, and fills `state.new` beside the database with what is not in the journal.
///
/// # Errors
///
/// The journal can't be read to its end, or there is nothing that it continues: then what is missing
/// is named.
pub(super) fn prepare(
    data: &Path,
    log: &dyn ReadLog,
    cache_mib: u32,
) -> Result<RebuildSource, StoreError> {
    let (snapshots, damaged) = Snapshots::of(data).list()?;
    for error in damaged {
        tracing::error!(%error, "a snapshot is damaged; skipping it");
    }
    for snapshot in snapshots {
        let outcome = connect(log, &snapshot)
            .and_then(|()| build(&new_state(data), &snapshot, log, cache_mib));
        match outcome {
            Ok(()) => return Ok(RebuildSource::Snapshot(snapshot)),
            Err(error) if is_of(&error, &snapshot) => {
                tracing::error!(%error, "a snapshot can't be used; using an older one");
            }
            Err(error) => return Err(error),
        }
    }
    let begin = log.start()?;
    if begin != Position::default() {
        return Err(StoreError::Folder(format!(
            "the database must be rebuilt, but changes 1 to {} are missing: the journal no longer has them, and no \
             intact snapshot does; restore a backup",
            begin.sequence
        )));
    }
    log.read(0, &mut |_| ControlFlow::Continue(()))?;
    discard(&new_state(data))?;
    Ok(RebuildSource::Journal)
}

/// Whether an error says that this snapshot is damaged, does not fit, or can't be read.
fn is_of(error: &StoreError, snapshot: &Snapshot) -> bool {
    match error {
        StoreError::Snapshot { .. } => true,
        StoreError::File { path, .. } => *path == snapshot.path,
        _ => false,
    }
}

/// Checks that a snapshot holds the state of this journal at its change, and that the journal can be
/// read from there to its end.
fn connect(log: &dyn ReadLog, snapshot: &Snapshot) -> Result<(), StoreError> {
    let Position { sequence, hash } = snapshot.position;
    let unusable = |reason: String| StoreError::Snapshot { path: snapshot.path.clone(), reason };
    let (begin, end) = (log.start()?, log.head());
    if sequence < begin.sequence || sequence > end.sequence {
        return Err(unusable(format!(
            "it is at change {sequence}, but the journal has changes {} to {}",
            begin.sequence + 1,
            end.sequence
        )));
    }
    let mut previous = (sequence == end.sequence).then_some(end.hash);
    log.read(sequence, &mut |frame| {
        previous.get_or_insert(frame.previous);
        ControlFlow::Continue(())
    })?;
    if previous == Some(hash) {
        Ok(())
    } else {
        Err(unusable(format!("its change {sequence} differs from the one in this journal")))
    }
}

fn new_state(data: &Path) -> PathBuf {
    data.join("state.new")
}

/// Fills a new database from a snapshot.
fn build(
    folder: &Path,
    snapshot: &Snapshot,
    log: &dyn ReadLog,
    cache_mib: u32,
) -> Result<(), StoreError> {
    discard(folder)?;
    let engine = Engine::open(folder, cache_mib)?;
    let mut step: Vec<Write> = Vec::new();
    let mut done = 0;
    snapshot::load(&snapshot.path, |writes| {
        step.extend(writes);
        if step.len() >= STEP {
            if (done + step.len()) / TELL > done / TELL {
                tracing::info!(done, of = snapshot.writes, "filling the database from a snapshot");
            }
            done += step.len();
            engine.put(step.drain(..))?;
        }
        Ok(())
    })?;
    // Only the last batch says where this stands: without it the database counts as empty.
    engine.put(step.drain(..))?;
    engine.apply(std::iter::empty(), PART, log.identity(), snapshot.position.sequence)?;
    engine.close()
}

/// Rewrites the database without obsolete data, and returns it open.
///
/// # Errors
///
/// [`StoreError`] if the new database could not take the place of the old. That it could not be
/// built is only logged: the old one will do.
pub(super) fn compact(
    data: &Path,
    engine: Engine,
    log: &dyn ReadLog,
    applied: Position,
    cache_mib: u32,
    now: Timestamp,
) -> Result<Engine, StoreError> {
    let before = engine.bytes();
    let taken = Snapshots::of(data).take(&engine, log, applied.sequence, now);
    let built = taken.and_then(|whole| {
        build(&new_state(data), &whole.snapshot, log, cache_mib)?;
        Ok(whole.snapshot)
    });
    let snapshot = match built {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::error!(%error, cause = causes(&error), "the database could not be compacted");
            return Ok(engine);
        }
    };
    drop(engine);
    swap(data, &RebuildSource::Snapshot(snapshot), None)?;
    let engine = Engine::open(&data.join("state"), cache_mib)?;
    tracing::info!(before, after = engine.bytes(), "the database was compacted");
    Ok(engine)
}

/// Replaces the database in `state` by the new one. The old one is renamed if it may still be
/// needed.
///
/// # Errors
///
/// [`StoreError::File`].
pub(super) fn swap(
    data: &Path,
    source: &RebuildSource,
    keep: Option<&Path>,
) -> Result<(), StoreError> {
    let state = data.join("state");
    if let Some(aside) = keep {
        fs::rename(&state, aside).map_err(StoreError::file("set aside", &state))?;
    } else {
        discard(&state)?;
    }
    if let RebuildSource::Snapshot(_) = source {
        fs::rename(new_state(data), &state).map_err(StoreError::file("create", &state))?;
    }
    sync_folder(data)
}

/// Removes an obsolete database.
fn discard(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file("remove", folder)(error))
        }
        _ => Ok(()),
    }
}
