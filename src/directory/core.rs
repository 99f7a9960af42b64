//! What the doors and the writer share.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::directory::audit::denied::DeniedLog;
use crate::directory::brake::Brakes;
use crate::directory::counters::WriterCounters;
use crate::directory::latest::Latest;
use crate::directory::operator::table::OperatorTable;
use crate::directory::query::cursor::Cursors;
use crate::directory::token::client_table::ClientTable;
use crate::directory::token::table::TokenTable;
use crate::directory::trusted_time::TrustedTime;
use crate::log::Log;
use crate::store::{Store, StoreError};

/// The log, the store that follows it, and what is kept in memory beside it, shared by the doors and the writer under all settings.
pub(crate) struct DirectoryCore {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tokens: TokenTable,
    pub(crate) clients: ClientTable,
    pub(crate) operators: OperatorTable,
    pub(crate) denied: DeniedLog,
    pub(crate) cursors: Cursors,
    pub(crate) brakes: Brakes,
    pub(crate) counters: WriterCounters,
    pub(crate) time: TrustedTime,
    pub(crate) latest: Latest,
    /// Rung when another node has changed the settings.
    pub(crate) settings_followed: Notify,
    /// Rung when a connection was changed.
    pub(crate) connections_followed: Notify,
    /// Why the settings of this node are not those in force, if they are not.
    pub(crate) problem: Mutex<Option<String>>,
    /// What is wrong with the connections that other nodes have changed.
    pub(crate) connections: Mutex<ConnectionTrouble>,
}

/// What is wrong with the connections that other nodes have changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionTrouble {
    /// Why some are not in force here.
    pub(crate) problem: Option<String>,
    /// Why some are not in `conf.d` here.
    pub(crate) warning: Option<String>,
}

impl DirectoryCore {
    /// Loads from the store what is kept in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the tokens can't be read.
    pub(crate) fn load(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        time: TrustedTime,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            tokens: TokenTable::load(store.as_ref())?,
            clients: ClientTable::load(store.as_ref())?,
            operators: OperatorTable::load(store.as_ref())?,
            denied: DeniedLog::default(),
            cursors: Cursors::new(&log.identity()),
            brakes: Brakes::new(),
            counters: WriterCounters::new(),
            latest: Latest::default(),
            settings_followed: Notify::new(),
            connections_followed: Notify::new(),
            connections: Mutex::default(),
            problem: Mutex::default(),
            time,
            log,
            store,
        })
    }

    /// Notes why the settings of this node are not those in force, or that they are.
    pub(crate) fn note_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}
