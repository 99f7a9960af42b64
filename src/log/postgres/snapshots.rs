//! Snapshots in the database, from which nodes begin that have nothing, and trimming of the log there.
//!
//! A snapshot is a file in parts, and counts once its row in `scimd_snapshot` is there. One node at a time puts one there,
//! or trims. A log is never trimmed beyond the older one of two, which serves if the newest is damaged: its own
//! row stays, so that the log goes on from it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::client::{CallError, Parameter, PostgresConnection, Row, signed, unsigned};
use super::core::Core;
use super::error::SessionError;
use crate::clock::Stopwatch;
use crate::log::{LogError, Position, ReadLog as _, SnapshotFile};

/// How long a call may take that reads or writes little.
const CALL: Duration = Duration::from_secs(10);
/// How long it may take to send or get a part, or to remove some rows.
const PART_CALL: Duration = Duration::from_secs(30);
/// How many bytes of a snapshot are in a row.
const PART: usize = 1024 * 1024;
/// How many snapshots are kept: one may still be read when the next one is there.
const KEPT: i64 = 2;
/// How many rows one transaction removes.
const REMOVED: i64 = 1_000;
/// How long rows are removed at a time; the rest waits for the next snapshot, as other work of this kind does.
const TRIMMING: Duration = Duration::from_secs(60);
/// A node that was seen within this time may still need what it has not copied.
const SLOWEST: &str = "10 minutes";

/// Nodes that are not listed any more: those that were not seen for long, and those that never had a copy of the log.
const GONE: &str = "seen < clock_timestamp() - interval '90 days' \
                    OR applied = 0 AND seen < clock_timestamp() - interval '1 day'";

const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(7310580254983014773)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7310580254983014773)";

/// Puts a snapshot into the database, if that has none as young as `interval`; whether it did.
pub(super) fn keep(
    connection: &PostgresConnection,
    file: &SnapshotFile<'_>,
    interval: Duration,
) -> Result<bool, LogError> {
    let kept = alone(connection, || {
        // The next one is due a little earlier, so that it does not wait for another day.
        let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX / 2) / 10 * 9;
        let due = "SELECT 1 WHERE NOT EXISTS (SELECT FROM scimd_snapshot WHERE sequence >= $1 \
                   OR taken > clock_timestamp() - make_interval(secs => $2::bigint))";
        let sequence = signed(file.position.sequence);
        if query(connection, CALL, due, &[&sequence, &seconds])?.is_empty() {
            return Ok(false);
        }
        remove_parts(connection)?;
        query(connection, CALL, &format!("DELETE FROM scimd_node WHERE {GONE}"), &[])?;
        let (parts, bytes, sha256) = send(connection, file, sequence)?;
        let whole = "INSERT INTO scimd_snapshot (sequence, hash, taken, parts, bytes, sha256) \
                     SELECT $1, $2, clock_timestamp(), $3, $4, $5 \
                     WHERE EXISTS (SELECT FROM scimd_log WHERE sequence = $1 AND hash = $2) RETURNING 1";
        let hash = &file.position.hash[..];
        let parameters: [Parameter<'_>; 5] = [&sequence, &hash, &parts, &bytes, &sha256];
        let whole = connection.prepare(CALL, whole).map_err(failed)?;
        let added = connection.commit(CALL, Some("BEGIN"), &whole, &parameters).map_err(failed)?;
        let old = "DELETE FROM scimd_snapshot WHERE sequence NOT IN \
                   (SELECT sequence FROM scimd_snapshot ORDER BY sequence DESC LIMIT $1)";
        query(connection, CALL, old, &[&KEPT])?;
        remove_parts(connection)?;
        Ok(!added.is_empty())
    });
    Ok(kept?.unwrap_or(false))
}

/// Sends the parts of a file; their number, all bytes, and the digest of these.
fn send(
    connection: &PostgresConnection,
    file: &SnapshotFile<'_>,
    sequence: i64,
) -> Result<(i32, i64, String), LogError> {
    let mut source = File::open(file.path).map_err(LogError::io("open", file.path))?;
    let insert = "INSERT INTO scimd_snapshot_part (sequence, part, body) VALUES ($1, $2, $3)";
    let insert = connection.prepare(CALL, insert).map_err(failed)?;
    let (mut hash, mut parts, mut bytes) = (Sha256::new(), 0_i32, 0_i64);
    loop {
        let mut body = Vec::with_capacity(PART);
        let read = (&mut source).take(PART as u64).read_to_end(&mut body);
        if read.map_err(LogError::io("read", file.path))? == 0 {
            return Ok((parts, bytes, HEXLOWER.encode(&hash.finalize())));
        }
        hash.update(&body);
        connection.query(PART_CALL, &insert, &[&sequence, &parts, &body]).map_err(failed)?;
        parts += 1;
        bytes += body.len() as i64;
    }
}

/// Removes the parts of snapshots that are not whole, or no longer kept.
fn remove_parts(connection: &PostgresConnection) -> Result<(), LogError> {
    let remove = "DELETE FROM scimd_snapshot_part WHERE (sequence, part) IN ( \
                    SELECT sequence, part FROM scimd_snapshot_part AS p WHERE NOT EXISTS ( \
                      SELECT FROM scimd_snapshot AS s WHERE s.sequence = p.sequence) LIMIT 64) RETURNING 1";
    while !query(connection, PART_CALL, remove, &[])?.is_empty() {}
    Ok(())
}

/// Writes the newest snapshot in the database that is whole into a file; `None` if there is none.
///
/// # Errors
///
/// [`LogError::Io`]; the database can't be used.
pub(super) fn fetch(core: &Core, file: (&mut File, &Path)) -> Result<Option<Position>, LogError> {
    let session = core.session(std::sync::Arc::new(|_| {}))?;
    let connection = session.connection();
    let list = "SELECT sequence, hash, parts, sha256 FROM scimd_snapshot \
                WHERE sequence >= $1 ORDER BY sequence DESC";
    let (target, path) = file;
    let start = signed(core.copy.start()?.sequence);
    for row in query(connection, CALL, list, &[&start])? {
        let described = (|| {
            let hash: Vec<u8> = row.try_get(1).ok()?;
            let (sequence, parts, sha256) = (row.try_get(0), row.try_get(2), row.try_get(3));
            Some((sequence.ok()?, hash.try_into().ok()?, parts.ok()?, sha256.ok()?))
        })();
        let Some((sequence, hash, parts, sha256)) = described else { continue };
        let written = receive(connection, sequence, parts, (&mut *target, path))?;
        if written.as_ref() == Some::<&String>(&sha256) {
            return Ok(Some(Position { sequence: unsigned(sequence), hash }));
        }
        tracing::error!(
            change = sequence,
            "a snapshot in the database is damaged; using an older one"
        );
    }
    Ok(None)
}

/// Writes the parts of a snapshot into a file, from its beginning; their digest, or `None` if one is missing.
fn receive(
    connection: &PostgresConnection,
    sequence: i64,
    parts: i32,
    (target, path): (&mut File, &Path),
) -> Result<Option<String>, LogError> {
    use std::io::Seek as _;
    let failed_write = |error| LogError::io("write", path)(error);
    target.set_len(0).and_then(|()| target.rewind()).map_err(failed_write)?;
    let select = "SELECT body FROM scimd_snapshot_part WHERE sequence = $1 AND part = $2";
    let select = connection.prepare(CALL, select).map_err(failed)?;
    let mut hash = Sha256::new();
    for part in 0..parts {
        let rows = connection.query(PART_CALL, &select, &[&sequence, &part]).map_err(failed)?;
        let body: Option<Vec<u8>> = rows.first().and_then(|row| row.try_get(0).ok());
        let Some(body) = body else { return Ok(None) };
        hash.update(&body);
        target.write_all(&body).map_err(failed_write)?;
    }
    target.sync_all().map_err(failed_write)?;
    Ok(Some(HEXLOWER.encode(&hash.finalize())))
}

/// Removes rows of changes that come no later than `upto` and were made before a moment, that two snapshots at least have
/// and every node that runs has copied, for [`TRIMMING`]; returns how many. The last of these stays: what is left follows it.
pub(super) fn trim(core: &Core, upto: u64, made_before: Timestamp) -> Result<u64, LogError> {
    let session = core.session(std::sync::Arc::new(|_| {}))?;
    let connection = session.connection();
    let removed = alone(connection, || {
        let bounds = format!(
            "SELECT least((SELECT min(sequence) FROM scimd_snapshot), \
               (SELECT min(applied) FROM scimd_node WHERE seen > clock_timestamp() - interval '{SLOWEST}')), \
               (SELECT min(sequence) FROM scimd_log) WHERE (SELECT count(*) FROM scimd_snapshot) > 1"
        );
        let rows = query(connection, CALL, &bounds, &[])?;
        let bound = |column| rows.first()?.try_get::<_, Option<i64>>(column).ok().flatten();
        let (Some(covered), Some(start)) = (bound(0), bound(1)) else { return Ok(0) };
        let upto = upto.min(unsigned(covered));
        let Some(last) = last_old(core, unsigned(start), upto, made_before)? else { return Ok(0) };
        let remove = "DELETE FROM scimd_log WHERE sequence IN ( \
                        SELECT sequence FROM scimd_log WHERE sequence < $1 ORDER BY sequence LIMIT $2) \
                        AND EXISTS (SELECT FROM scimd_log WHERE sequence = $1) RETURNING 1";
        let (last, mut removed, since) = (signed(last), 0, Stopwatch::start());
        while since.elapsed() < TRIMMING {
            match query(connection, PART_CALL, remove, &[&last, &REMOVED])?.len() {
                0 => break,
                some => removed += some as u64,
            }
        }
        Ok(removed)
    });
    Ok(removed?.unwrap_or(0))
}

/// The last change up to which all were made before a moment; `None` if there is none that the database keeps.
fn last_old(
    core: &Core,
    start: u64,
    upto: u64,
    made_before: Timestamp,
) -> Result<Option<u64>, LogError> {
    // What the copy no longer has was old enough before.
    let begin = core.copy.start()?.sequence.min(upto);
    let mut last = begin;
    core.copy.read(begin.max(start), &mut |frame| {
        if frame.sequence > upto || frame.head.time >= made_before {
            return ControlFlow::Break(());
        }
        last = frame.sequence;
        ControlFlow::Continue(())
    })?;
    Ok(Some(last).filter(|&last| last > start))
}

/// Does what one node at a time does; `None` if another one is at it.
fn alone<T>(
    connection: &PostgresConnection,
    work: impl FnOnce() -> Result<T, LogError>,
) -> Result<Option<T>, LogError> {
    let locked = connection.run(CALL, TRY_LOCK).map_err(failed)?;
    if locked != Some(vec![Some("t".to_owned())]) {
        return Ok(None);
    }
    let done = work();
    // The end of the connection would do as well, but later.
    let _ = connection.run(CALL, UNLOCK);
    done.map(Some)
}

fn query(
    connection: &PostgresConnection,
    limit: Duration,
    statement: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, LogError> {
    let statement = connection.prepare(CALL, statement).map_err(failed)?;
    connection.query(limit, &statement, parameters).map_err(failed)
}

fn failed(error: CallError) -> LogError {
    SessionError::from(error).into()
}
