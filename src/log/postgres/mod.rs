//! The log in a PostgreSQL table that several nodes share.
//!
//! The table is the log: a group is appended to it behind the head, or not at all. Each node keeps a copy in local
//! files, which is what it reads from: so audit trail, undo, feed, backups and a start need no other code, and go on
//! without the database. The copy is never synced; whatever a power cut takes from it is fetched again.
//!
//! Two threads have a connection each. The reader (`reader.rs`) copies what other nodes append and finds out the newest
//! head. The appender (`appender.rs`) appends, and finds out what became of a group whose answer was lost, by sending
//! the same bytes again. On each connection nothing that was read counts before a synchronous write has succeeded: a
//! server that its standby has replaced can't pass for the one in force.

mod address;
mod appender;
mod client;
mod core;
mod error;
mod format;
mod lease;
mod node;
mod orders;
mod questions;
mod reader;
mod schema;
mod session;
mod snapshots;
mod transfer;

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;

use self::address::Address;
use self::client::Postgres;
use self::core::{Core, lock};
use self::error::SessionError;
use self::lease::Leases;
use self::node::Node;
use self::orders::Orders;
use self::schema::{LogRow, NewLog, TableState};
use self::session::{KnownLog, Session};
pub use self::transfer::{LogTransfer, TransferProgress, move_to_files};
use super::local::LocalLog;
use super::{
    Append, ChainReport, FormatRaise, Frame, Lease, Log, LogEntry, LogError, LogNode, LogStats,
    Position, ReadLog, SnapshotFile,
};
use crate::clock::Stopwatch;
use crate::text::with_causes;

/// How long a start waits for a database that does not answer.
const START: Duration = Duration::from_secs(30);

/// Where the log is, and who follows it.
pub struct PostgresSettings {
    /// The URL of the database.
    pub url: String,
    /// What a relative path in the URL is relative to.
    pub base: PathBuf,
    /// What tells this node from others; random, and kept with the data.
    pub node: [u8; 16],
    /// The name of this node, for people.
    pub name: String,
    /// What tells this process from others, and from an earlier one of the same node; random.
    pub process: [u8; 8],
    /// How old the newest snapshot in the database may be before another one takes its place.
    pub snapshot_interval: Duration,
}

/// The ports of the servers in the URL of a database; none if it is wrong.
pub fn ports(url: &str) -> Vec<u16> {
    Address::parse(url, Path::new("")).map(|address| client::ports(&address)).unwrap_or_default()
}

/// The file with the authorities that the URL of a database names, relative to a folder; `None` if it names none.
pub fn ca_file(url: &str, base: &Path) -> Option<PathBuf> {
    Address::parse(url, base).ok()?.ca_file
}

/// The log in a database.
pub struct PostgresLog {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl PostgresLog {
    /// Opens the log with its copy in `folder`, copies what is missing there, and starts to follow.
    ///
    /// `new_identity` is taken if neither the database nor the folder has a log; the log of a folder is put into no
    /// database. A copy that is damaged, or ends before what the database keeps, is set aside after the moment `now`.
    ///
    /// # Errors
    ///
    /// [`LogError::Database`] with a sentence that says what to do if this is not a database that the node may write
    /// to; [`LogError::Unavailable`]; what is wrong with the copy.
    pub fn open(
        settings: PostgresSettings,
        folder: &Path,
        new_identity: [u8; 16],
        now: Timestamp,
    ) -> Result<Self, LogError> {
        let (core, session) = open_copy(settings, folder, Some(new_identity), now)?;
        let core = Arc::new(core);
        drop(session);
        let log = Self { core, threads: Mutex::default() };
        log.start("log reader", reader::run)?;
        log.start("log appender", appender::run)?;
        Ok(log)
    }

    /// Writes the newest snapshot in the database into a file, which `path` names in errors; its position, or `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`]; the database can't be used.
    pub fn fetch_snapshot(
        &self,
        file: &mut File,
        path: &Path,
    ) -> Result<Option<Position>, LogError> {
        snapshots::fetch(&self.core, (file, path))
    }

    fn start(&self, name: &str, run: fn(&Arc<Core>)) -> Result<(), LogError> {
        let core = Arc::clone(&self.core);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&core));
        let failed = |error| LogError::Database(format!("can't start a thread: {error}"));
        lock(&self.threads).push(thread.map_err(failed)?);
        Ok(())
    }
}

/// Opens the log with its copy in `folder`, as [`PostgresLog::open`] does, and copies what is missing there; nothing
/// follows it yet. Without a new identity the copy must be there and whole, and the database must go on from it.
fn open_copy(
    settings: PostgresSettings,
    folder: &Path,
    new_identity: Option<[u8; 16]>,
    now: Timestamp,
) -> Result<(Core, Session), LogError> {
    let PostgresSettings { url, base, node, name, process, snapshot_interval } = settings;
    let address = Address::parse(&url, &base).map_err(LogError::Database)?;
    let database = Postgres::new(&address).map_err(LogError::Database)?;
    let node = Node::new(node, name);
    let may_begin = new_identity.is_some();
    let new_identity = new_identity.unwrap_or_default();
    let copied = match folder.exists() {
        true => match LocalLog::open(folder, new_identity, &[]) {
            // A copy is not synced: a power cut may leave anything.
            Err(error @ LogError::Damaged { .. }) if may_begin => {
                let aside = set_aside(folder, "damaged", now)?;
                tracing::warn!(
                    %error, kept_as = %aside.display(),
                    "the copy of the log is damaged; setting it aside and copying the log again"
                );
                None
            }
            opened => Some(opened?),
        },
        false => None,
    };
    let mut copied = copied.filter(|log| log.head().sequence > 0 || log.identity() != new_identity);
    let known = copied
        .as_ref()
        .map(|copy| KnownLog { identity: Some(copy.identity()), applied: copy.head().sequence });
    let behind = Position::default();
    let create = NewLog { identity: new_identity, behind, state: TableState::Ready };
    let create = (may_begin && copied.is_none()).then_some(&create);
    let (mut session, log) = first_session(&database, &node, known.unwrap_or_default(), create)?;
    let ends_before = |copy: &LocalLog| copy.head().sequence < log.start.sequence;
    if may_begin && let Some(copy) = copied.take_if(|copy| ends_before(copy)) {
        let has = copy.head().sequence;
        drop(copy);
        let aside = set_aside(folder, "old", now)?;
        tracing::warn!(
            kept_as = %aside.display(), has, kept_after = log.start.sequence,
            "this node was away for longer than the database keeps changes; setting its log aside and beginning from \
             the newest snapshot in the database"
        );
    }
    let copy = match copied {
        Some(copy) => copy,
        None => {
            if folder.exists() {
                std::fs::remove_dir_all(folder).map_err(LogError::io("remove", folder))?;
            }
            LocalLog::begin(folder, log.identity, log.start)?;
            LocalLog::open(folder, log.identity, &[])?
        }
    };
    let origin = HEXLOWER.encode(&process);
    let core = Core {
        database,
        node,
        copy: copy.into_copy(),
        origin,
        appender: Orders::default(),
        reader: Arc::default(),
        leases: Leases::default(),
        stopped: Mutex::default(),
        problem: Mutex::default(),
        closed: AtomicBool::new(false),
        snapshot_interval,
    };
    let followed = core.check_head(&session).and_then(|()| core.catch_up(&session));
    if let Err(LogError::Unavailable(_)) = followed {
        session = first_session(&core.database, &core.node, core.known(), None)?.0;
        core.check_head(&session).and_then(|()| core.catch_up(&session))?;
    } else {
        followed?;
    }
    Ok((core, session))
}

/// Renames a folder, so that another one can take its place; what it is called then.
fn set_aside(folder: &Path, why: &str, now: Timestamp) -> Result<PathBuf, LogError> {
    let aside = folder.with_extension(format!("{why}-{}", now.as_millisecond()));
    std::fs::rename(folder, &aside).map_err(LogError::io("rename", folder))?;
    Ok(aside)
}

/// The first session of a start, on whichever server is the primary. A database that is silent for a while, as in a
/// failover, is waited for.
fn first_session(
    database: &Postgres,
    node: &Node,
    known: KnownLog,
    create: Option<&NewLog>,
) -> Result<(Session, LogRow), SessionError> {
    let (since, mut tries) = (Stopwatch::start(), database.servers());
    loop {
        tries = tries.saturating_sub(1);
        match Session::open(database, node, Arc::new(|_| {}), known, create) {
            // Then each server is asked again.
            Err(SessionError::Silent(_)) if since.elapsed() < START => tries = database.servers(),
            Err(SessionError::Unavailable(_)) if tries > 0 => {}
            opened => return opened,
        }
    }
}

impl Drop for PostgresLog {
    fn drop(&mut self) {
        self.core.closed.store(true, Ordering::SeqCst);
        self.core.reader.ring();
        self.core.appender.ring();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}

impl Log for PostgresLog {
    fn append(&self, group: Vec<LogEntry>, expected: Position) -> Result<Append, LogError> {
        if self.is_stopped() {
            return Err(LogError::Stopped);
        }
        appender::append(&self.core, group, expected)
    }

    fn wait_beyond(&self, sequence: u64, patience: Duration) -> Position {
        self.core.copy.wait_beyond(sequence, patience)
    }

    fn close(&self) {
        self.core.copy.close();
    }

    fn is_stopped(&self) -> bool {
        self.core.stopped_reason().is_some() || self.core.copy.is_stopped()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn newest(&self, patience: Duration) -> Result<Position, LogError> {
        if self.is_stopped() {
            return Err(LogError::Stopped);
        }
        self.core.reader.newest(patience).ok_or_else(|| {
            let reason = self.problem().unwrap_or_else(|| "no answer".to_owned());
            LogError::Unavailable(reason)
        })
    }

    fn nodes(&self) -> Result<Vec<LogNode>, LogError> {
        let nodes = session::nodes(&self.core.database, &self.core.node);
        nodes.map_err(|error| LogError::Unavailable(error.text()))
    }

    fn note_settings(&self, digests: &str) {
        self.core.node.note_settings(digests);
    }

    fn want_leases(&self, names: Vec<String>) {
        self.core.leases.want(names);
        self.core.reader.ring();
    }

    fn pause_lease(&self, name: &str, pause: Duration) {
        self.core.leases.pause(name, pause);
        self.core.reader.ring();
    }

    fn lease(&self, name: &str) -> Lease {
        self.core.leases.holder(name)
    }

    fn raise_format(&self) -> Result<FormatRaise, LogError> {
        Ok(session::raise_format(&self.core.database, &self.core.node)?)
    }

    fn problem(&self) -> Option<String> {
        self.core.stopped_reason().or_else(|| lock(&self.core.problem).clone())
    }

    fn trim(&self, upto: u64, made_before: Timestamp) -> Result<usize, LogError> {
        let removed = self.core.copy.trim(upto, made_before)?;
        match snapshots::trim(&self.core, upto, made_before) {
            Ok(0) => {}
            Ok(changes) => tracing::info!(changes, "old changes were removed from the database"),
            Err(error) => tracing::warn!(
                error = with_causes(&error),
                "old changes were not removed from the database; trying again with the next snapshot"
            ),
        }
        Ok(removed)
    }

    fn keep_snapshot(&self, snapshot: &SnapshotFile<'_>) -> Result<bool, LogError> {
        let session = self.core.session(Arc::new(|_| {}))?;
        snapshots::keep(session.connection(), snapshot, self.core.snapshot_interval)
    }

    fn stats(&self) -> LogStats {
        self.core.copy.stats()
    }
}

impl ReadLog for PostgresLog {
    fn identity(&self) -> [u8; 16] {
        self.core.copy.identity()
    }

    fn head(&self) -> Position {
        self.core.copy.head()
    }

    fn start(&self) -> Result<Position, LogError> {
        self.core.copy.start()
    }

    fn read(
        &self,
        after: u64,
        visit: &mut dyn FnMut(Arc<Frame>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        self.core.copy.read(after, visit)
    }

    fn before(&self, moment: Timestamp) -> Result<u64, LogError> {
        self.core.copy.before(moment)
    }

    fn last_before(&self, moment: Timestamp) -> Result<Option<u64>, LogError> {
        self.core.copy.last_before(moment)
    }

    fn before_part_of(&self, sequence: u64) -> Result<u64, LogError> {
        self.core.copy.before_part_of(sequence)
    }

    fn verify(
        &self,
        anchors: &[Position],
        fault: &mut dyn FnMut(LogError),
    ) -> Result<ChainReport, LogError> {
        self.core.copy.verify(anchors, fault)
    }
}
