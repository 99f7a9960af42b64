//! Moving a log from the files of a server into a database, and back.
//!
//! Into the database: frames are copied as they are, in groups of bounded size, while the server runs. Until the last
//! one is there and the end of both is the same, no node may use the tables. A copy that was broken off goes on where
//! the tables end. Back: the node's own copy is what is served from, once the tables say that they are left.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::address::Address;
use super::client::{Parameter, Postgres, PostgresConnection, Statement, signed};
use super::error::SessionError;
use super::node::Node;
use super::schema::{self, LogRow, NewLog, TableState};
use super::session::{self, EncodedFrame};
use super::snapshots;
use super::{PostgresSettings, open_copy};
use crate::log::local::LogFiles;
use crate::log::{LogError, Position, ReadLog as _, SnapshotFile};

/// How long a call may take that reads or writes little.
const CALL: Duration = Duration::from_secs(10);
/// How long it may take to count or remove all frames.
const LONG: Duration = Duration::from_secs(3_600);
/// How many frames are copied at once, and how many bytes of them, roughly.
const ROWS: usize = 1_000;
const BYTES: usize = 4 * 1024 * 1024;

/// Changes that are in the database, and changes that there are.
pub type TransferProgress<'a> = dyn FnMut(u64, u64) + 'a;

/// Tables that take over the log of a server.
pub struct LogTransfer {
    _database: Postgres,
    connection: PostgresConnection,
    insert: Statement,
    node: Node,
    log: LogRow,
    reached: Position,
}

impl LogTransfer {
    /// Begins to copy the log in `files`, or goes on. `is_node` says whether its data directory is that of a node.
    ///
    /// # Errors
    ///
    /// [`LogError::Database`] with a sentence that says what to do, also if the tables hold another log, or one that
    /// nodes use; [`LogError::Unavailable`].
    pub fn open(
        settings: PostgresSettings,
        files: &LogFiles,
        is_node: bool,
    ) -> Result<Self, LogError> {
        let PostgresSettings { url, base, node, name, .. } = settings;
        let address = Address::parse(&url, &base).map_err(LogError::Database)?;
        let database = Postgres::new(&address).map_err(LogError::Database)?;
        let node = Node::new(node, name);
        let (identity, behind) = (files.identity(), files.start()?);
        let new = NewLog { identity, behind, state: TableState::Copying };
        let (connection, log) = connect(&database, &node, &new)?;
        check_owner(&log, identity, &node, is_node)?;
        let prepared = connection.prepare(CALL, session::INSERT).map_err(SessionError::from);
        let (insert, reached) = (prepared?, log.last);
        let mut transfer = Self { _database: database, connection, insert, node, log, reached };
        if log.state == TableState::Moved {
            transfer.set_state("UPDATE scimd_meta SET state = 'copying' WHERE state = 'moved'")?;
        }
        transfer.compare(files)?;
        Ok(transfer)
    }

    /// The last change in the database.
    pub fn reached(&self) -> Position {
        self.reached
    }

    /// The position that the oldest frame in the database follows.
    pub fn start(&self) -> Position {
        self.log.start
    }

    /// Checks that the tables end with a change of the files. If the files no longer have it, the copy begins again.
    fn compare(&mut self, files: &LogFiles) -> Result<(), LogError> {
        let (start, head, reached) = (files.start()?, files.head(), self.reached);
        if reached.sequence > head.sequence {
            return Err(LogError::Database(format!(
                "the log in the database ends with change {}, but the one of this server with change {}: use the data \
                 directory that was copied before, or an empty database",
                reached.sequence, head.sequence
            )));
        }
        if reached.sequence < start.sequence {
            return self.begin_again(start);
        }
        if position_at(files, reached.sequence)? != Some(reached) {
            return Err(LogError::Database(format!(
                "change {} in the database differs from that of this server: use an empty database",
                reached.sequence
            )));
        }
        Ok(())
    }

    /// Removes what was copied, as the server has removed what comes next.
    fn begin_again(&mut self, behind: Position) -> Result<(), LogError> {
        let delete = "DELETE FROM scimd_log";
        let begin =
            "INSERT INTO scimd_log (sequence, previous_hash, hash, frame) VALUES ($1, '', $2, '')";
        let (sequence, hash) = (signed(behind.sequence), &behind.hash[..]);
        self.connection.run(CALL, session::BEGIN).map_err(SessionError::from)?;
        let begun = self.connection.run(LONG, delete).and_then(|_| {
            let begin = self.connection.prepare(CALL, begin)?;
            self.connection.commit(CALL, None, &begin, &[&sequence, &hash])
        });
        begun.map_err(SessionError::from)?;
        (self.reached, self.log.start, self.log.last) = (behind, behind, behind);
        Ok(())
    }

    /// Copies what the database lacks of `files`; if a server still appends to them, only what it has synced. Returns how
    /// many changes were copied.
    ///
    /// # Errors
    ///
    /// As [`LogTransfer::open`]; the files are damaged.
    pub fn copy(
        &mut self,
        files: &LogFiles,
        is_written: bool,
        progress: &mut TransferProgress<'_>,
    ) -> Result<u64, LogError> {
        let (head, before) = (files.head(), self.reached.sequence);
        let mut batch = Batch::default();
        let mut outcome = Ok(());
        files.read_files(before, head, &mut |frame, bytes| {
            // A group that another one follows has been synced.
            if batch.is_full() && frame.group == frame.sequence {
                outcome = self.send(&mut batch);
                progress(self.reached.sequence, head.sequence);
            }
            let encoded = EncodedFrame {
                position: frame.position(),
                previous: frame.previous,
                bytes: bytes.to_vec(),
            };
            batch.add(encoded, frame.group);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        if is_written {
            batch.leave_last_group();
        }
        self.send(&mut batch)?;
        progress(self.reached.sequence, head.sequence);
        Ok(self.reached.sequence - before)
    }

    fn send(&mut self, batch: &mut Batch) -> Result<(), LogError> {
        let group = std::mem::take(batch).frames;
        let Some(last) = group.last().map(|frame| frame.position) else { return Ok(()) };
        let to = (&self.connection, &self.insert);
        let (begin, state) = (Some(session::BEGIN), TableState::Copying);
        let sent = session::insert(to, begin, &group, self.reached, state, "");
        if !sent.map_err(SessionError::from)? {
            return Err(LogError::Database(
                "the log in the database has changed meanwhile: another `scimd migrate` is running, or has finished"
                    .to_owned(),
            ));
        }
        self.reached = last;
        Ok(())
    }

    /// Keeps a snapshot from which nodes begin that have nothing.
    ///
    /// # Errors
    ///
    /// As [`LogTransfer::open`]; the file can't be read.
    pub fn keep_snapshot(&self, snapshot: &SnapshotFile<'_>) -> Result<(), LogError> {
        snapshots::keep(&self.connection, snapshot, Duration::ZERO).map(drop)
    }

    /// Has this node alone finish the move: from now on its data directory may become that of a node.
    ///
    /// # Errors
    ///
    /// As [`LogTransfer::open`].
    pub fn claim(&mut self) -> Result<(), LogError> {
        self.set_state("UPDATE scimd_meta SET owner = $1 WHERE state = 'copying'")
    }

    /// Checks that the tables end where `files` do and have all between.
    ///
    /// # Errors
    ///
    /// As [`LogTransfer::open`].
    pub fn check_whole(&mut self, files: &LogFiles) -> Result<(), LogError> {
        let head = files.head();
        let count = self.connection.run(LONG, "SELECT count(*) - 1 FROM scimd_log");
        let count = count.map_err(SessionError::from)?.into_iter().flatten().flatten().next();
        let expected = head.sequence - self.log.start.sequence;
        if self.reached != head || count != Some(expected.to_string()) {
            return Err(LogError::Database(format!(
                "the log in the database is not whole: it has {} of {expected} changes; use an empty database",
                count.unwrap_or_default()
            )));
        }
        Ok(())
    }

    /// Lets nodes use the tables.
    ///
    /// # Errors
    ///
    /// As [`LogTransfer::open`].
    pub fn complete(&mut self) -> Result<(), LogError> {
        self.set_state(
            "UPDATE scimd_meta SET state = 'ready', owner = NULL WHERE state = 'copying' AND owner = $1",
        )
    }

    /// Changes the one row of `scimd_meta`, where $1 is this node.
    fn set_state(&mut self, update: &str) -> Result<(), LogError> {
        let update = format!("{update} AND $1::bytea IS NOT NULL RETURNING 1");
        let node = &self.node.id[..];
        let parameters: [Parameter<'_>; 1] = [&node];
        let changed = self
            .connection
            .prepare(CALL, &update)
            .and_then(|update| {
                self.connection.commit(CALL, Some(session::BEGIN), &update, &parameters)
            })
            .map_err(SessionError::from)?;
        match changed.is_empty() {
            false => Ok(()),
            true => Err(LogError::Database(
                "another `scimd migrate` has changed the database meanwhile; run this one again"
                    .to_owned(),
            )),
        }
    }
}

/// Frames that are sent at once, and where the last group of them begins.
#[derive(Default)]
struct Batch {
    frames: Vec<EncodedFrame>,
    bytes: usize,
    last_group: u64,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.frames.len() >= ROWS || self.bytes >= BYTES
    }

    fn add(&mut self, frame: EncodedFrame, group: u64) {
        self.bytes += frame.bytes.len();
        self.frames.push(frame);
        self.last_group = group;
    }

    fn leave_last_group(&mut self) {
        let group = self.last_group;
        self.frames.retain(|frame| frame.position.sequence < group);
    }
}

/// Connects to the server that can be written to; creates the tables if there are none.
fn connect(
    database: &Postgres,
    node: &Node,
    new: &NewLog,
) -> Result<(PostgresConnection, LogRow), SessionError> {
    let mut tries = database.servers();
    loop {
        let turn = database.turn();
        let connected = database.connect(Arc::new(|_| {})).map_err(SessionError::from);
        let opened = connected.and_then(|connection| {
            schema::check_server(&connection, node)?;
            let log = schema::open(&connection, Some(new))?;
            Ok((connection, log))
        });
        tries = tries.saturating_sub(1);
        match opened {
            Err(SessionError::Unavailable(_) | SessionError::Silent(_)) if tries > 0 => {
                database.pass_on(turn);
            }
            opened => return opened,
        }
    }
}

/// Refuses tables that another log is in, or that this directory may not go on with.
fn check_owner(
    log: &LogRow,
    identity: [u8; 16],
    node: &Node,
    is_node: bool,
) -> Result<(), LogError> {
    let refuse = |reason: String| Err(LogError::Database(reason));
    if log.identity != identity {
        return refuse(format!(
            "the database holds another log, which ends with change {}: use an empty database",
            log.last.sequence
        ));
    }
    match log.state {
        TableState::Ready if is_node => {
            refuse("the log is in the database already; start scimd with engine = \"postgres\"".to_owned())
        }
        TableState::Ready => refuse(
            "the database holds this log already, and its nodes use it: the data directory is an older copy; start with \
             an empty one and engine = \"postgres\""
                .to_owned(),
        ),
        TableState::Copying | TableState::Moved if is_node && log.owner != Some(node.id) => refuse(
            "the data directory is that of a node, and another server has the log or moves it: run the command there"
                .to_owned(),
        ),
        TableState::Copying | TableState::Moved => Ok(()),
    }
}

/// The position of a change in files that have it, or end or begin with it.
fn position_at(files: &LogFiles, sequence: u64) -> Result<Option<Position>, LogError> {
    let head = files.head();
    if sequence == head.sequence {
        return Ok(Some(head));
    }
    let mut found = None;
    files.read_files(sequence, head, &mut |frame, _| {
        found = Some(Position { sequence, hash: frame.previous });
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Has the copy of a node in `folder` be the log, to be served from files: copies what it lacks, checks it, leaves the
/// database to no node, and makes the files durable. Returns where it ends.
///
/// # Errors
///
/// [`LogError::Database`] if another node runs or the database was left before; as [`super::PostgresLog::open`]; the
/// first fault of the chain. What is done already is found done the next time.
pub fn move_to_files(
    settings: PostgresSettings,
    folder: &Path,
    now: Timestamp,
) -> Result<Position, LogError> {
    LogFiles::inspect(folder)?;
    reclaim(&settings)?;
    let (core, session) = open_copy(settings, folder, None, now)?;
    let mut fault = None;
    core.copy.verify(&[], &mut |error| {
        fault.get_or_insert(error);
    })?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    loop {
        core.check_head(&session)?;
        core.catch_up(&session)?;
        let head = core.copy.head();
        if session.leave(&core.node, head).map_err(SessionError::from)? {
            core.copy.sync()?;
            return Ok(head);
        }
        // It may have been left by another node meanwhile.
        schema::open(session.connection(), None)?.insist_ready()?;
        let nodes = session.nodes(&core.node).map_err(SessionError::from)?;
        if let Some(other) = nodes.into_iter().find(|node| !node.is_this && node.is_running()) {
            return Err(LogError::Database(format!(
                "node {} is running, or was until a moment ago: stop all nodes, wait 10 seconds, and run the command \
                 again",
                other.name
            )));
        }
    }
}

/// Takes back a database that this node has left, if the files were not made the log since.
fn reclaim(settings: &PostgresSettings) -> Result<(), LogError> {
    let address = Address::parse(&settings.url, &settings.base).map_err(LogError::Database)?;
    let database = Postgres::new(&address).map_err(LogError::Database)?;
    let mut tries = database.servers();
    let reclaimed = loop {
        let turn = database.turn();
        let reclaimed = database.connect(Arc::new(|_| {})).and_then(|connection| {
            let look = "SELECT to_regclass('scimd_snapshot_part') IS NOT NULL";
            if connection.run(CALL, look)? != Some(vec![Some("t".to_owned())]) {
                return Ok(());
            }
            let update =
                "UPDATE scimd_meta SET state = 'ready' WHERE state = 'moved' AND owner = $1";
            let update = connection.prepare(CALL, update)?;
            let node = &settings.node[..];
            connection.commit(CALL, Some(session::BEGIN), &update, &[&node]).map(drop)
        });
        tries = tries.saturating_sub(1);
        match reclaimed {
            Err(_) if tries > 0 => database.pass_on(turn),
            reclaimed => break reclaimed,
        }
    };
    Ok(reclaimed.map_err(SessionError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_files_that_are_written_the_last_group_is_left_for_later() {
        let mut batch = Batch::default();
        for (sequence, group) in [(1, 1), (2, 2), (3, 2), (4, 4)] {
            let position = Position { sequence, hash: [0; 32] };
            let frame = EncodedFrame { position, previous: [0; 32], bytes: vec![0; BYTES / 4] };
            assert!(!batch.is_full());
            batch.add(frame, group);
        }
        assert!(batch.is_full(), "by its bytes");
        batch.leave_last_group();
        let left: Vec<u64> = batch.frames.iter().map(|frame| frame.position.sequence).collect();
        assert_eq!(left, [1, 2, 3]);
    }
}
