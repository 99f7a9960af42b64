//! A connection over which the log is read and written, once it has shown that it leads to the right database.

use std::cell::Cell;
use std::time::Duration;

use super::client::{
    Bell, CallError, Parameter, Postgres, PostgresConnection, Row, Statement, signed, unsigned,
};
use super::error::SessionError;
use super::format;
use super::lease::{LeaseStatements, Leases};
use super::node::Node;
use super::schema::{self, TableState};
use crate::clock::Stopwatch;
use crate::log::{FormatRaise, Hash, LogNode, Position};

/// How long a call may take that waits for no other node and writes little.
const CALL: Duration = Duration::from_secs(3);
/// How long a group may take: it may wait for the turn of another node, and for a standby. Each MiB has another second.
const APPEND: Duration = Duration::from_secs(6);
/// After this time without a synchronous write, what is read says nothing about the present.
const PROOF: Duration = Duration::from_secs(1);
/// How many rows are read at once.
const ROWS: i64 = 1_000;
/// How many bytes of frames are read at once, roughly.
const ROW_BYTES: i64 = 16 * 1024 * 1024;

/// In whose order nodes append.
pub(super) const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(7310580254983014771)";

pub(super) const INSERT: &str = "\
    WITH added AS ( \
      INSERT INTO scimd_log (sequence, previous_hash, hash, frame) \
      SELECT n.sequence, n.previous_hash, n.hash, n.frame \
      FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) \
        AS n(sequence, previous_hash, hash, frame) JOIN scimd_meta ON scimd_meta.state = $8 \
      WHERE EXISTS (SELECT FROM scimd_log WHERE sequence = $5 AND hash = $6) \
        AND NOT EXISTS (SELECT FROM scimd_log WHERE sequence > $5) \
      ORDER BY n.sequence RETURNING sequence) \
    SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('scimd_log', $7)::text END FROM added";

const ROWS_AFTER: &str = "\
    SELECT sequence, frame FROM ( \
      SELECT sequence, frame, sum(octet_length(frame)) OVER (ORDER BY sequence) AS bytes \
      FROM (SELECT sequence, frame FROM scimd_log WHERE sequence > $1 ORDER BY sequence LIMIT $2) AS next \
    ) AS part WHERE bytes <= $3 OR sequence = $1 + 1 ORDER BY sequence";

const BARRIER: &str = "\
    INSERT INTO scimd_node (id, name, version, beat, seen, applied, format, settings) \
    SELECT $1::bytea, $2::text, $3::text, 1, clock_timestamp(), $4::bigint, $5::integer, $6::text \
    FROM scimd_meta WHERE state = 'ready' \
    ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, version = EXCLUDED.version, \
      beat = scimd_node.beat + 1, seen = clock_timestamp(), applied = EXCLUDED.applied, \
      format = EXCLUDED.format, settings = EXCLUDED.settings \
    RETURNING (SELECT version FROM scimd_meta)";

const LEAVE: &str = "\
    UPDATE scimd_meta SET state = 'moved', owner = $1 \
    WHERE state = 'ready' AND EXISTS (SELECT FROM scimd_log WHERE sequence = $2 AND hash = $3) \
      AND NOT EXISTS (SELECT FROM scimd_log WHERE sequence > $2) \
      AND NOT EXISTS (SELECT FROM scimd_node WHERE id <> $1 AND seen > clock_timestamp() - interval '10 seconds') \
    RETURNING 1";

/// What a node knows of the log.
#[derive(Clone, Copy, Default)]
pub(super) struct KnownLog {
    /// Its identity, if there is a copy.
    pub(super) identity: Option<[u8; 16]>,
    /// The last change that was copied.
    pub(super) applied: u64,
}

/// One encoded frame with its place.
#[derive(Clone)]
pub(super) struct EncodedFrame {
    pub(super) position: Position,
    pub(super) previous: Hash,
    pub(super) bytes: Vec<u8>,
}

/// What became of a group that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SentGroup {
    /// It is in the log.
    Added,
    /// It was in the log before: whether it is durable is known after the next synchronous write.
    Found,
    /// Another node was faster, or this one has not read all.
    Moved,
}

/// A session.
pub(super) struct Session {
    connection: PostgresConnection,
    insert: Statement,
    rows: Statement,
    barrier: Statement,
    /// Prepared once leases are wanted.
    leases: Option<LeaseStatements>,
    /// When the last synchronous write was begun that succeeded.
    proven: Option<Stopwatch>,
    /// Whether a transaction is open that holds the turn to append, and since when.
    turn: Option<Stopwatch>,
    /// Whether the last frames that were asked for were none.
    is_level: Cell<bool>,
}

impl Session {
    /// Opens a session to the log that is known, or to any if there is none yet. The tables are created if there are
    /// none and `create` says with what.
    ///
    /// # Errors
    ///
    /// [`SessionError`]. No row was written but that of the node.
    pub(super) fn open(
        database: &Postgres,
        node: &Node,
        bell: Bell,
        known: KnownLog,
        create: Option<&schema::NewLog>,
    ) -> Result<(Self, schema::LogRow), SessionError> {
        let turn = database.turn();
        Self::open_here(database, node, bell, known, create).inspect_err(|_| database.pass_on(turn))
    }

    /// The same, on the server whose turn it is.
    fn open_here(
        database: &Postgres,
        node: &Node,
        bell: Bell,
        known: KnownLog,
        create: Option<&schema::NewLog>,
    ) -> Result<(Self, schema::LogRow), SessionError> {
        let connection = database.connect(bell)?;
        schema::check_server(&connection, node)?;
        let log = schema::open(&connection, create)?;
        log.insist_ready()?;
        if known.identity.is_some_and(|identity| identity != log.identity) {
            let reason = "the database holds the log of other nodes than the data directory; correct data_dir or the \
                          database URL, or join those nodes with an empty data directory";
            return Err(SessionError::Unusable(reason.to_owned()));
        }
        let statement = |text| connection.prepare(CALL, text);
        let (insert, rows, barrier) =
            (statement(INSERT)?, statement(ROWS_AFTER)?, statement(BARRIER)?);
        let (leases, proven, turn, is_level) = (None, None, None, Cell::new(false));
        let mut session =
            Self { connection, insert, rows, barrier, leases, proven, turn, is_level };
        session.barrier(node, known.applied)?;
        Ok((session, log))
    }

    /// Has the server report changes of the log from now on.
    pub(super) fn listen(&self) -> Result<(), CallError> {
        self.connection.run(CALL, "LISTEN scimd_log").map(drop)
    }

    /// Shows by a synchronous write that this server is the one that is written to: it would not succeed on a server
    /// that its standby has replaced. Notes how far the node has come.
    ///
    /// # Errors
    ///
    /// [`CallError::Unusable`] if the log has a format meanwhile that the node does not know.
    pub(super) fn barrier(&mut self, node: &Node, applied: u64) -> Result<(), CallError> {
        let since = Stopwatch::start();
        let (id, name, version) = (&node.id[..], node.name.as_str(), env!("CARGO_PKG_VERSION"));
        let applied = signed(applied);
        let (format, settings) = (node.format, node.settings());
        let parameters: [Parameter<'_>; 6] =
            [&id, &name, &version, &applied, &format, &settings.as_str()];
        let rows = self.connection.commit(CALL, Some("BEGIN"), &self.barrier, &parameters)?;
        let Some(row) = rows.first() else {
            return Err(CallError::Lost("the log is no longer in this database".to_owned()));
        };
        let in_force: i32 = row.try_get(0).unwrap_or(0);
        format::check_format(in_force, node.format).map_err(CallError::Unusable)?;
        self.proven = Some(since);
        Ok(())
    }

    /// The same, unless one succeeded a moment ago.
    pub(super) fn prove(&mut self, node: &Node, applied: u64) -> Result<(), CallError> {
        match &self.proven {
            Some(since) if since.elapsed() < PROOF => Ok(()),
            _ => self.barrier(node, applied),
        }
    }

    /// Renews leases, if it is time.
    pub(super) fn renew(&mut self, leases: &Leases, node: &Node) -> Result<(), CallError> {
        if !leases.are_due() {
            return Ok(());
        }
        let statements = match &mut self.leases {
            Some(statements) => statements,
            none => none.insert(LeaseStatements::prepare(&self.connection)?),
        };
        leases.renew(&self.connection, statements, node)
    }

    /// Some frames after a sequence, in order, as bytes.
    pub(super) fn rows_after(&self, sequence: u64) -> Result<Vec<(u64, Vec<u8>)>, CallError> {
        let parameters: [Parameter<'_>; 3] = [&signed(sequence), &ROWS, &ROW_BYTES];
        // Where few are expected, a server that hangs is noticed sooner.
        let limit = if self.is_level.replace(false) { CALL } else { APPEND };
        let rows = self.connection.query(limit, &self.rows, &parameters)?;
        self.is_level.set(rows.is_empty());
        let frame = |row: Row| Some((unsigned(row.try_get(0).ok()?), row.try_get(1).ok()?));
        rows.into_iter()
            .map(|row| frame(row).ok_or_else(|| CallError::Lost("a row is malformed".to_owned())))
            .collect()
    }

    /// The hash of a frame in the log, if it is there; and the last sequence, if there is any.
    pub(super) fn look_at(
        &self,
        sequence: u64,
    ) -> Result<(Option<Vec<u8>>, Option<u64>), CallError> {
        let statement =
            "SELECT (SELECT hash FROM scimd_log WHERE sequence = $1), max(sequence) FROM scimd_log";
        let statement = self.connection.prepare(CALL, statement)?;
        let rows = self.connection.query(CALL, &statement, &[&signed(sequence)])?;
        let Some(row) = rows.first() else { return Ok((None, None)) };
        let last: Option<i64> = row.try_get(1).ok().flatten();
        Ok((row.try_get(0).ok().flatten(), last.map(unsigned)))
    }

    /// Whether a turn is held, and for how long.
    pub(super) fn turn(&self) -> Option<Duration> {
        self.turn.as_ref().map(|since| since.elapsed())
    }

    /// Waits for the turn to append and keeps it, so that no other node appends until [`Session::append`] or
    /// [`Session::end_turn`]; the server ends it after 3 seconds.
    pub(super) fn take_turn(&mut self) -> Result<(), CallError> {
        // A node that hangs then must not hold up the others.
        let begin = format!("{BEGIN}; SET LOCAL idle_in_transaction_session_timeout = '3s'");
        self.connection.run(APPEND, &begin).inspect_err(|error| {
            if error.is_denied() {
                self.abandon();
            }
        })?;
        self.turn = Some(Stopwatch::start());
        Ok(())
    }

    /// Lets other nodes append.
    pub(super) fn end_turn(&mut self) -> Result<(), CallError> {
        match self.turn.take() {
            Some(_) => self.connection.run(CALL, "ROLLBACK").map(drop),
            None => Ok(()),
        }
    }

    /// Ends a transaction that may be open, whatever comes of it.
    fn abandon(&self) {
        let _ = self.connection.run(CALL, "ROLLBACK");
    }

    /// Appends a group behind a position: all of it or nothing. The same group may be sent again if the answer was
    /// lost.
    pub(super) fn append(
        &mut self,
        group: &[EncodedFrame],
        expected: Position,
        from: &str,
    ) -> Result<SentGroup, CallError> {
        let since = Stopwatch::start();
        let begin = match self.turn.take() {
            Some(_) => None,
            None => Some(BEGIN),
        };
        let (to, state) = ((&self.connection, &self.insert), TableState::Ready);
        if insert(to, begin, group, expected, state, from)? {
            self.proven = Some(since);
            return Ok(SentGroup::Added);
        }
        // It may have been there since an earlier try.
        let Some(first) = group.first() else { return Ok(SentGroup::Added) };
        let (stored, _) = self.look_at(first.position.sequence)?;
        Ok(match stored {
            Some(hash) if hash == first.position.hash => SentGroup::Found,
            _ => SentGroup::Moved,
        })
    }

    /// Leaves the database to no node, if the log ends with `head` and no other node runs; whether that was so.
    pub(super) fn leave(&self, node: &Node, head: Position) -> Result<bool, CallError> {
        let statement = self.connection.prepare(CALL, LEAVE)?;
        let (id, sequence, hash) = (&node.id[..], signed(head.sequence), &head.hash[..]);
        let parameters: [Parameter<'_>; 3] = [&id, &sequence, &hash];
        Ok(!self.connection.commit(APPEND, Some(BEGIN), &statement, &parameters)?.is_empty())
    }

    /// The nodes that were ever seen, by name.
    pub(super) fn nodes(&self, this: &Node) -> Result<Vec<LogNode>, CallError> {
        list_nodes(&self.connection, this)
    }

    /// The connection, for what is neither written to the log nor read from it.
    pub(super) fn connection(&self) -> &PostgresConnection {
        &self.connection
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

/// Inserts a group behind a position, if that is the last one and the tables are in a state, and commits; whether all of
/// it was inserted, or nothing.
pub(super) fn insert(
    (connection, statement): (&PostgresConnection, &Statement),
    begin: Option<&str>,
    group: &[EncodedFrame],
    expected: Position,
    state: TableState,
    from: &str,
) -> Result<bool, CallError> {
    let sequences: Vec<i64> = group.iter().map(|frame| signed(frame.position.sequence)).collect();
    let previous: Vec<&[u8]> = group.iter().map(|frame| &frame.previous[..]).collect();
    let hashes: Vec<&[u8]> = group.iter().map(|frame| &frame.position.hash[..]).collect();
    let frames: Vec<&[u8]> = group.iter().map(|frame| &frame.bytes[..]).collect();
    let (sequence, hash) = (signed(expected.sequence), &expected.hash[..]);
    let state = state.name();
    let parameters: [Parameter<'_>; 8] =
        [&sequences, &previous, &hashes, &frames, &sequence, &hash, &from, &state];
    let bytes: usize = frames.iter().map(|frame| frame.len()).sum();
    let limit = APPEND + Duration::from_millis(bytes as u64 / 1024);
    let rows = match connection.commit(limit, begin, statement, &parameters) {
        Ok(rows) => rows,
        // Another node was faster, and did not wait for its turn.
        Err(error) if error.is_duplicate() => Vec::new(),
        Err(error) => return Err(error),
    };
    let added = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or(0_i64);
    Ok(added == group.len() as i64)
}

/// The nodes that were ever seen, by name.
pub(super) fn nodes(database: &Postgres, this: &Node) -> Result<Vec<LogNode>, CallError> {
    list_nodes(&database.connect(std::sync::Arc::new(|_| {}))?, this)
}

fn list_nodes(connection: &PostgresConnection, this: &Node) -> Result<Vec<LogNode>, CallError> {
    let statement = connection.prepare(
        CALL,
        "SELECT id, name, version, applied, \
           greatest(0, extract(epoch FROM clock_timestamp() - seen) * 1000)::bigint, format, settings \
         FROM scimd_node ORDER BY name, id",
    )?;
    let node = |row: Row| {
        let id: Vec<u8> = row.try_get(0).ok()?;
        let id = id.try_into().ok()?;
        let millis: i64 = row.try_get(4).ok()?;
        Some(LogNode {
            id,
            name: row.try_get(1).ok()?,
            version: row.try_get(2).ok()?,
            copied: unsigned(row.try_get(3).ok()?),
            seen: Duration::from_millis(unsigned(millis)),
            format: format::unsigned_format(row.try_get(5).ok()?),
            settings: row.try_get(6).ok()?,
            is_this: id == this.id,
        })
    };
    Ok(connection.query(CALL, &statement, &[])?.into_iter().filter_map(node).collect())
}

/// Has all nodes write the newest format that this one knows.
pub(super) fn raise_format(database: &Postgres, this: &Node) -> Result<FormatRaise, CallError> {
    let connection = database.connect(std::sync::Arc::new(|_| {}))?;
    format::raise_format(&connection, this.format)
}
