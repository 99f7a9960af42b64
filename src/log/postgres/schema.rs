//! The tables of the log, and which servers may hold it.

use std::time::Duration;

use data_encoding::HEXLOWER;

use super::client::{CallError, Parameter, PostgresConnection, signed};
use super::error::SessionError;
use super::format::{FORMAT, check_format};
use super::node::Node;
use crate::log::Position;

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// The oldest server that is supported, as it numbers its versions.
const OLDEST_SERVER: i32 = 130_000;

/// `scimd_meta` has one row, whose version is the format that all nodes write. `scimd_log` begins with a row whose frame is
/// not read: the position that the first one follows.
const CREATE: &str = "\
    CREATE TABLE IF NOT EXISTS scimd_meta ( \
      is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), \
      version integer NOT NULL, identity bytea NOT NULL); \
    CREATE TABLE IF NOT EXISTS scimd_log ( \
      sequence bigint PRIMARY KEY, previous_hash bytea NOT NULL, hash bytea NOT NULL, frame bytea NOT NULL); \
    CREATE TABLE IF NOT EXISTS scimd_node ( \
      id bytea PRIMARY KEY, name text NOT NULL, version text NOT NULL, beat bigint NOT NULL, \
      seen timestamptz NOT NULL, applied bigint NOT NULL)";

/// What tables have that were created without it. Nodes of earlier versions go on with it.
const EXTEND: &str = "\
    ALTER TABLE scimd_meta ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'ready'; \
    ALTER TABLE scimd_meta ADD COLUMN IF NOT EXISTS owner bytea; \
    CREATE TABLE IF NOT EXISTS scimd_snapshot ( \
      sequence bigint PRIMARY KEY, hash bytea NOT NULL, taken timestamptz NOT NULL, parts integer NOT NULL, \
      bytes bigint NOT NULL, sha256 text NOT NULL); \
    CREATE TABLE IF NOT EXISTS scimd_snapshot_part ( \
      sequence bigint, part integer, body bytea NOT NULL, PRIMARY KEY (sequence, part)); \
    ALTER TABLE scimd_node ADD COLUMN IF NOT EXISTS format integer NOT NULL DEFAULT 1; \
    ALTER TABLE scimd_node ADD COLUMN IF NOT EXISTS settings text NOT NULL DEFAULT ''; \
    CREATE TABLE IF NOT EXISTS scimd_lease ( \
      name text PRIMARY KEY, node bytea NOT NULL, until timestamptz NOT NULL)";

/// Whether there are tables, and whether they have all of it.
const LOOK: &str = "\
    SELECT to_regclass('scimd_meta') IS NOT NULL, to_regclass('scimd_lease') IS NOT NULL";

/// Whether nodes may use the log in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableState {
    /// They may.
    Ready,
    /// It is being copied from the files of a server.
    Copying,
    /// It goes on in the files of a server.
    Moved,
}

impl TableState {
    /// As it is in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Copying => "copying",
            Self::Moved => "moved",
        }
    }
}

/// A log to begin.
pub(super) struct NewLog {
    /// Its identity.
    pub(super) identity: [u8; 16],
    /// What its first frame follows.
    pub(super) behind: Position,
    /// Whether nodes may use it.
    pub(super) state: TableState,
}

/// The log in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    /// Its identity.
    pub(super) identity: [u8; 16],
    /// The position that the oldest kept frame follows.
    pub(super) start: Position,
    /// The last frame.
    pub(super) last: Position,
    /// Whether nodes may use it.
    pub(super) state: TableState,
    /// The node that moves it, or has moved it.
    pub(super) owner: Option<[u8; 16]>,
}

impl LogRow {
    /// Refuses a log that no node may use.
    pub(super) fn insist_ready(&self) -> Result<(), SessionError> {
        let reason = match self.state {
            TableState::Ready => return Ok(()),
            TableState::Copying => {
                "the log is still being moved into this database: run `scimd migrate --to postgres` again on the server \
                 that it comes from, with scimd stopped there"
            }
            TableState::Moved => {
                "the log was moved out of this database into the files of a server: start that one alone, or stop it and \
                 move the log back with `scimd migrate --to postgres` there"
            }
        };
        Err(SessionError::Unusable(reason.to_owned()))
    }
}

/// Whether the server may hold the log: it is the primary, acknowledges nothing before it is durable, and is not one that
/// was replaced.
pub(super) fn check_server(
    connection: &PostgresConnection,
    node: &Node,
) -> Result<(), SessionError> {
    let facts = "\
        SELECT current_setting('server_version_num'), pg_is_in_recovery(), current_setting('fsync'), \
          (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), \
          current_setting('transaction_read_only'), \
          CASE WHEN pg_is_in_recovery() THEN NULL \
            ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END, \
          current_setting('synchronous_standby_names')";
    let row = connection.run(CALL, facts)?.unwrap_or_default();
    let fact = |column: usize| row.get(column).cloned().flatten().unwrap_or_default();
    let unusable = |text: String| Err(SessionError::Unusable(text));
    let version: i32 = fact(0).parse().unwrap_or(0);
    if version < OLDEST_SERVER {
        return unusable(format!(
            "the database server is version {}; scimd needs PostgreSQL 13 or later",
            version / 10_000
        ));
    }
    if fact(2) != "on" {
        return unusable(
            "the database server has fsync = off, so that a power cut loses what was acknowledged; set fsync = on \
             and restart it"
                .to_owned(),
        );
    }
    let commit = fact(3);
    if !matches!(commit.as_str(), "on" | "remote_apply") {
        return unusable(format!(
            "the database server has synchronous_commit = {commit}, so that a failure loses what was acknowledged; \
             set it to on for this role, database and server"
        ));
    }
    if fact(1) != "f" || fact(4) != "off" {
        let reason =
            "the database server is read-only: it is a standby, or its transactions are read-only";
        return Err(SessionError::Unavailable(reason.to_owned()));
    }
    let timeline = u32::from_str_radix(&fact(5), 16).unwrap_or(0);
    if let Err(newest) = node.see_timeline(timeline) {
        return Err(SessionError::Unavailable(format!(
            "the database server is on timeline {timeline}, but {newest} was seen before: it is a primary that was \
             replaced: stop it, or correct the database URL; after pg_upgrade, which begins a new timeline 1, restart the \
             nodes"
        )));
    }
    if node.is_first_look() {
        match fact(6).as_str() {
            "" => tracing::info!(
                "the database has no synchronous standby: it is as durable as its one server"
            ),
            names => tracing::info!(
                synchronous_standby_names = names,
                "the database has synchronous standbys"
            ),
        }
    }
    Ok(())
}

/// Reads which log the database holds; creates the tables if there are none and `create` says with what.
pub(super) fn open(
    connection: &PostgresConnection,
    create: Option<&NewLog>,
) -> Result<LogRow, SessionError> {
    let found = connection.run(CALL, LOOK)?.unwrap_or_default();
    let has = |column: usize| found.get(column).is_some_and(|found| found.as_deref() == Some("t"));
    match (has(0), has(1), create) {
        (true, true, _) => {}
        (true, false, _) => make(connection, None)?,
        (false, _, Some(log)) => make(connection, Some(log))?,
        (false, _, None) => {
            let reason = "the database has no tables of scimd, but the data directory has a log: correct the database \
                          URL or restore the database; a server that has kept its log in files moves it into a \
                          database with `scimd migrate --to postgres`";
            return Err(SessionError::Unusable(reason.to_owned()));
        }
    }
    read(connection)
}

/// Makes what is missing of the tables, and begins a log in them.
fn make(connection: &PostgresConnection, log: Option<&NewLog>) -> Result<(), SessionError> {
    let denied = |error: CallError| match error {
        error if error.is_about_tables() => SessionError::Unusable(format!(
            "the tables of scimd can't be created: {}; let the role create tables in this database (GRANT CREATE ON \
             SCHEMA public TO scimd)",
            error.text()
        )),
        error => error.into(),
    };
    connection.run(CALL, "BEGIN; SELECT pg_advisory_xact_lock(7310580254983014772)")?;
    let tables = format!("{CREATE}; {EXTEND}");
    let created = connection.run(CALL, &tables).map_err(denied).and_then(|_| {
        let Some(log) = log else { return Ok(connection.run(CALL, "COMMIT").map(drop)?) };
        let meta = "INSERT INTO scimd_meta (version, identity, state) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let begin = "INSERT INTO scimd_log (sequence, previous_hash, hash, frame) SELECT $1, '', $2, '' \
                     WHERE NOT EXISTS (SELECT FROM scimd_log)";
        let (identity, hash) = (&log.identity[..], &log.behind.hash[..]);
        let execute = |text: &str, parameters: &[Parameter<'_>]| {
            let statement = connection.prepare(CALL, text)?;
            connection.query(CALL, &statement, parameters)
        };
        execute(meta, &[&FORMAT, &identity, &log.state.name()])?;
        execute(begin, &[&signed(log.behind.sequence), &hash])?;
        Ok(connection.run(CALL, "COMMIT").map(drop)?)
    });
    if created.is_err() {
        let _ = connection.run(CALL, "ROLLBACK");
    }
    created
}

fn read(connection: &PostgresConnection) -> Result<LogRow, SessionError> {
    let statement = "\
        SELECT version::text, encode(identity, 'hex'), \
          (SELECT sequence::text || ':' || encode(hash, 'hex') FROM scimd_log ORDER BY sequence LIMIT 1), \
          (SELECT sequence::text || ':' || encode(hash, 'hex') FROM scimd_log ORDER BY sequence DESC LIMIT 1), \
          state, coalesce(encode(owner, 'hex'), '') FROM scimd_meta";
    let row = connection.run(CALL, statement).map_err(|error| match error {
        error if error.is_about_tables() => SessionError::Unusable(format!(
            "the tables of scimd can't be read: {}; let the role that made them connect, or grant it their use",
            error.text()
        )),
        error => error.into(),
    })?;
    let altered = || {
        SessionError::Unusable(
            "the tables of scimd were altered by hand: the log is empty or has no identity; restore the database"
                .to_owned(),
        )
    };
    let row: Vec<String> = row.ok_or_else(altered)?.into_iter().flatten().collect();
    let [version, identity, start, last, state, owner] = row.as_slice() else {
        return Err(altered());
    };
    let format: i32 = version.parse().map_err(|_| altered())?;
    check_format(format, FORMAT).map_err(SessionError::Unusable)?;
    let id = |hex: &String| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
    let states = [TableState::Ready, TableState::Copying, TableState::Moved];
    Ok(LogRow {
        identity: id(identity).ok_or_else(altered)?,
        start: Position::parse(start).ok_or_else(altered)?,
        last: Position::parse(last).ok_or_else(altered)?,
        state: states.into_iter().find(|known| known.name() == state).ok_or_else(altered)?,
        owner: id(owner),
    })
}
