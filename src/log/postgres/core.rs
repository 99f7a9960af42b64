//! What the threads of the log in a database and its callers share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::{Bell, Postgres};
use super::error::SessionError;
use super::lease::Leases;
use super::node::Node;
use super::orders::Orders;
use super::questions::Questions;
use super::session::{KnownLog, Session};
use crate::log::local::LocalLog;
use crate::log::{LogError, ReadLog as _};

/// What both threads and the callers share.
pub(super) struct Core {
    pub(super) database: Postgres,
    pub(super) node: Node,
    pub(super) copy: LocalLog,
    /// What this process calls itself in notifications.
    pub(super) origin: String,
    pub(super) appender: Orders,
    pub(super) reader: Arc<Questions>,
    pub(super) leases: Leases,
    /// Why nothing can be appended until a restart.
    pub(super) stopped: Mutex<Option<String>>,
    /// Why the database can't be used at the moment.
    pub(super) problem: Mutex<Option<String>>,
    pub(super) closed: AtomicBool,
    /// How old the newest snapshot in the database may be.
    pub(super) snapshot_interval: Duration,
}

impl Core {
    /// Whether the log ends here: the process stops.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Appends nothing any more, for a reason that only a restart can find gone.
    pub(super) fn stop(&self, reason: String) {
        let mut stopped = lock(&self.stopped);
        if stopped.is_none() {
            tracing::error!(%reason, "the log in the database can't be followed; rejecting writes until restart");
            *stopped = Some(reason);
        }
    }

    /// Why nothing can be appended until a restart.
    pub(super) fn stopped_reason(&self) -> Option<String> {
        lock(&self.stopped).clone()
    }

    /// Notes that the database can be used, or why not; logs each change.
    pub(super) fn note(&self, problem: Option<String>) {
        let mut noted = lock(&self.problem);
        match (&*noted, &problem) {
            (None, Some(reason)) => {
                tracing::warn!(%reason, "the database can't be used; changes are answered with 503 until it can");
            }
            (Some(_), None) => tracing::info!("the database can be used again"),
            _ => {}
        }
        *noted = problem;
    }

    /// What the copy says of the log.
    pub(super) fn known(&self) -> KnownLog {
        KnownLog { identity: Some(self.copy.identity()), applied: self.copy.head().sequence }
    }

    /// Opens a session for a thread; the reason if there is none.
    pub(super) fn session(&self, bell: Bell) -> Result<Session, LogError> {
        let opened = Session::open(&self.database, &self.node, bell, self.known(), None);
        let session = opened.map_err(LogError::from).and_then(|(session, _)| {
            self.check_head(&session)?;
            Ok(session)
        });
        if let Err(error @ (LogError::Database(_) | LogError::Trimmed(_))) = &session {
            self.stop(error.to_string());
        }
        session
    }

    /// Checks that the log in the database goes on where the copy ends.
    pub(super) fn check_head(&self, session: &Session) -> Result<(), LogError> {
        let head = self.copy.head();
        let (hash, last) = session.look_at(head.sequence).map_err(SessionError::from)?;
        match (hash, last) {
            (Some(hash), _) if hash == head.hash => Ok(()),
            (None, Some(last)) if last > head.sequence => Err(no_longer_kept(head.sequence)),
            (None, Some(last)) => Err(LogError::Database(format!(
                "the log in the database ends with change {last}, but this node has change {}: an older database was \
                 restored, or changes were lost; restore the newest one, or see \"A restored database\" in \
                 docs/high-availability.md",
                head.sequence
            ))),
            _ => Err(LogError::Database(format!(
                "change {} in the database differs from the one that this node has: an older database was restored \
                 and written to, or the table was altered by hand; see \"A restored database\" in \
                 docs/high-availability.md",
                head.sequence
            ))),
        }
    }

    /// Copies what the database has more than the copy.
    pub(super) fn catch_up(&self, session: &Session) -> Result<(), LogError> {
        let mut copied = 0_u64;
        loop {
            let rows = session.rows_after(self.copy.head().sequence).map_err(SessionError::from)?;
            let Some((first, _)) = rows.first() else { return Ok(()) };
            let head = self.copy.head().sequence;
            if *first > head + 1 {
                return Err(no_longer_kept(head));
            }
            let before = copied / 100_000;
            copied += rows.len() as u64;
            let frames: Vec<Vec<u8>> = rows.into_iter().map(|(_, frame)| frame).collect();
            self.copy.copy(&frames)?;
            if copied / 100_000 > before {
                tracing::info!(changes = copied, "copying the log from the database");
            }
        }
    }
}

fn no_longer_kept(head: u64) -> LogError {
    LogError::Trimmed(head)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
