//! The tables of the log, and which servers may hold it.

use std::time::Duration;

use super::client::{CallError, Parameter, PostgresConnection, signed};
use super::error::SessionError;
use super::node::Node;
use crate::log::Position;

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// The version of the tables that this scimd reads and writes.
const VERSION: i32 = 1;
/// The oldest server that is supported, as it numbers its versions.
const OLDEST_SERVER: i32 = 130_000;

/// `scimd_meta` has one row. `scimd_log` begins with a row that has no frame: the position that the first frame follows.
const CREATE: &str = "\
    CREATE TABLE IF NOT EXISTS scimd_meta ( \
      is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), \
      version integer NOT NULL, identity bytea NOT NULL); \
    CREATE TABLE IF NOT EXISTS scimd_log ( \
      sequence bigint PRIMARY KEY, previous_hash bytea NOT NULL, hash bytea NOT NULL, frame bytea NOT NULL); \
    CREATE TABLE IF NOT EXISTS scimd_node ( \
      id bytea PRIMARY KEY, name text NOT NULL, version text NOT NULL, beat bigint NOT NULL, \
      seen timestamptz NOT NULL, applied bigint NOT NULL)";

/// A log to begin.
pub(super) struct NewLog {
    /// Its identity.
    pub(super) identity: [u8; 16],
    /// What its first frame follows.
    pub(super) behind: Position,
}

/// The log in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    /// Its identity.
    pub(super) identity: [u8; 16],
    /// The position that the oldest kept frame follows.
    pub(super) start: Position,
    /// The last sequence.
    pub(super) last: u64,
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
             replaced; stop it, or correct the database URL"
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
    let exists = connection.run(CALL, "SELECT to_regclass('scimd_meta') IS NOT NULL")?;
    let exists = exists.is_some_and(|row| row == [Some("t".to_owned())]);
    match create {
        Some(log) if !exists => self::create(connection, log)?,
        None if !exists => {
            let reason = "the database has no tables of scimd, but the data directory has a log: correct the database \
                          URL or restore the database; a server that has kept its log in files can't move it into a \
                          database yet";
            return Err(SessionError::Unusable(reason.to_owned()));
        }
        _ => {}
    }
    read(connection)
}

fn create(connection: &PostgresConnection, log: &NewLog) -> Result<(), SessionError> {
    let denied = |error: CallError| match error {
        error if error.is_about_tables() => SessionError::Unusable(format!(
            "the tables of scimd can't be created: {}; let the role create tables in this database (GRANT CREATE ON \
             SCHEMA public TO scimd)",
            error.text()
        )),
        error => error.into(),
    };
    connection.run(CALL, "BEGIN; SELECT pg_advisory_xact_lock(7310580254983014772)")?;
    let created = connection.run(CALL, CREATE).map_err(denied).and_then(|_| {
        let meta = "INSERT INTO scimd_meta (version, identity) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let begin = "INSERT INTO scimd_log (sequence, previous_hash, hash, frame) SELECT $1, '', $2, '' \
                     WHERE NOT EXISTS (SELECT FROM scimd_log)";
        let (identity, hash) = (&log.identity[..], &log.behind.hash[..]);
        let execute = |text: &str, parameters: &[Parameter<'_>]| {
            let statement = connection.prepare(CALL, text)?;
            connection.query(CALL, &statement, parameters)
        };
        execute(meta, &[&VERSION, &identity])?;
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
          (SELECT max(sequence)::text FROM scimd_log) FROM scimd_meta";
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
    let [version, identity, start, last] = row.as_slice() else { return Err(altered()) };
    if version.parse() != Ok(VERSION) {
        return Err(SessionError::Unusable(format!(
            "the tables in the database are of version {version}, and this scimd knows version {VERSION}; upgrade it"
        )));
    }
    let identity = data_encoding::HEXLOWER.decode(identity.as_bytes()).ok();
    Ok(LogRow {
        identity: identity.and_then(|bytes| bytes.try_into().ok()).ok_or_else(altered)?,
        start: Position::parse(start).ok_or_else(altered)?,
        last: last.parse().map_err(|_| altered())?,
    })
}
