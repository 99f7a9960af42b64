//! PostgreSQL, as the log uses it: the only file that names the client.
//!
//! Every call blocks, with a limit on the time: what has not answered by then counts as lost, and its connection is
//! not used again. Nothing is ever cancelled: what was sent may still be done.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::{Handle, Runtime};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};
pub(super) use tokio_postgres::{Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use crate::authorities;
use crate::text::with_causes;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// What became of a call.
#[derive(Debug)]
pub(super) enum CallError {
    /// The connection was lost: it may or may not be done.
    Lost(String),
    /// No answer in time: it may or may not be done.
    Silent(String),
    /// The database said no, with this code and in these words.
    Denied(SqlState, String),
    /// This node may not use the log: a sentence that says what to do.
    Unusable(String),
}

impl CallError {
    /// What happened, for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Lost(reason) | Self::Silent(reason) | Self::Unusable(reason) => reason.clone(),
            Self::Denied(code, message) => format!("{message} (SQLSTATE {})", code.code()),
        }
    }

    /// Whether the database said no, so that the connection can still be used.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(..))
    }

    /// Whether a key is there already.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Denied(code, _) if *code == SqlState::UNIQUE_VIOLATION)
    }

    /// Whether tables or columns are missing, or the right to use them.
    pub(super) fn is_about_tables(&self) -> bool {
        let codes = [
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
        ];
        matches!(self, Self::Denied(code, _) if codes.contains(code))
    }

    /// Whether a lock or the transaction was lost to time.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Self::Denied(code, _) if *code == SqlState::LOCK_NOT_AVAILABLE)
    }
}

impl From<tokio_postgres::Error> for CallError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // The server ends the connection: what it was at is not known.
            Some(said) if ends_connection(said) => Self::Lost(said.message().to_owned()),
            Some(said) => {
                let detail = said.detail().map(|detail| format!("; {detail}")).unwrap_or_default();
                Self::Denied(said.code().clone(), format!("{}{detail}", said.message()))
            }
            None => {
                let text = with_causes(&error);
                // What the client says of a server that is no primary.
                Self::Lost(match text.contains("does not allow writes") {
                    true => "the server is a standby or read-only; name the primary in the database URL, or all \
                             servers, so that it is found"
                        .to_owned(),
                    false => text,
                })
            }
        }
    }
}

fn ends_connection(said: &DbError) -> bool {
    matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::QUERY_CANCELED,
        ]
        .contains(said.code())
}

/// What is rung when the database reports a change of the log, or a connection has ended.
pub(super) type Bell = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// The ports that an address names, or the usual one.
pub(super) fn ports(address: &Address) -> Vec<u16> {
    let configs = address.urls.iter().filter_map(|url| url.parse::<Config>().ok());
    configs.flat_map(|config| config.get_ports().first().copied().or(Some(5432))).collect()
}

/// A database that can be connected to, on one of its servers.
pub(super) struct Postgres {
    servers: Vec<Config>,
    /// Which of them is tried next: a number that counts on.
    turn: Arc<AtomicUsize>,
    tls: Option<MakeRustlsConnect>,
    runtime: Runtime,
}

impl Postgres {
    /// # Errors
    ///
    /// A sentence that says what is wrong with the address, or that no thread can be started.
    pub(super) fn new(address: &Address) -> Result<Self, String> {
        let parse = |url: &String| {
            url.parse().map_err(|error| format!("the database URL: {}", with_causes(&error)))
        };
        let mut servers: Vec<Config> =
            address.urls.iter().map(parse).collect::<Result<_, String>>()?;
        let hosts = || servers.iter().flat_map(Config::get_hosts);
        let is_here = hosts().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost"
                    || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
            Host::Unix(_) => true,
        });
        let is_socket = hosts().all(|host| matches!(host, Host::Unix(_)));
        let tls = match address.tls.unwrap_or(!is_socket) {
            true if is_socket => return Err("a Unix socket has no TLS: remove sslmode".to_owned()),
            true => Some(MakeRustlsConnect::new(tls(address)?)),
            false if !is_here => {
                return Err("sslmode=disable is only for a server on this machine".to_owned());
            }
            false => None,
        };
        for server in &mut servers {
            server.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
            server.target_session_attrs(TargetSessionAttrs::ReadWrite);
            server.application_name("scimd");
            server.keepalives_idle(Duration::from_secs(5));
            server.tcp_user_timeout(Duration::from_secs(10));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("database")
            .enable_all()
            .build()
            .map_err(|error| format!("can't start the database thread: {error}"))?;
        Ok(Self { servers, turn: Arc::default(), tls, runtime })
    }

    /// How many servers it has.
    pub(super) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> usize {
        self.turn.load(Ordering::SeqCst)
    }

    /// Has the next server tried, unless the turn has passed on already.
    pub(super) fn pass_on(&self, from: usize) {
        pass_on(&self.turn, from);
    }

    /// Connects. `bell` is rung on notifications and at the end of the connection.
    pub(super) fn connect(&self, bell: Bell) -> Result<PostgresConnection, CallError> {
        let turn = self.turn();
        let Some(server) = turn.checked_rem(self.servers.len()).and_then(|at| self.servers.get(at))
        else {
            return Err(CallError::Lost("the database URL names no server".to_owned()));
        };
        let connected = match &self.tls {
            Some(tls) => {
                let connecting = server.connect(tls.clone());
                let (client, connection) = within(self.runtime.handle(), CONNECT, connecting)?;
                self.drive(client, connection, bell, turn)
            }
            None => {
                let connecting = server.connect(NoTls);
                let (client, connection) = within(self.runtime.handle(), CONNECT, connecting)?;
                self.drive(client, connection, bell, turn)
            }
        };
        connected.run(
            CONNECT,
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET synchronous_commit = on; SET statement_timeout = 0; SET lock_timeout = '5s'; \
             SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = warning",
        )?;
        Ok(connected)
    }

    /// Has the connection read and written from now on.
    fn drive<S, T>(
        &self,
        client: Client,
        mut connection: tokio_postgres::Connection<S, T>,
        bell: Bell,
        at: usize,
    ) -> PostgresConnection
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let warned = Arc::new(AtomicBool::new(false));
        let warning = Arc::clone(&warned);
        self.runtime.spawn(poll_fn(move |context| {
            loop {
                match connection.poll_message(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(AsyncMessage::Notification(note)))) => {
                        bell(Some(note.payload()));
                    }
                    // Warnings are rare, and one of them says that a commit is not on the standby.
                    Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                        tracing::warn!(message = notice.message(), "the database warns");
                        warning.store(true, Ordering::SeqCst);
                    }
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => {
                        bell(None);
                        return Poll::Ready(());
                    }
                }
            }
        }));
        let (runtime, turn) = (self.runtime.handle().clone(), Arc::clone(&self.turn));
        PostgresConnection { client, runtime, warned, turn, at }
    }
}

/// The authorities that vouch for the server.
fn tls(address: &Address) -> Result<ClientConfig, String> {
    let roots = match &address.ca_file {
        None => authorities::of_this_machine(),
        Some(file) => {
            let unreadable =
                |error: &dyn std::fmt::Display| format!("sslrootcert {}: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn pass_on(turn: &AtomicUsize, from: usize) {
    // Another thread may have been faster.
    let _ = turn.compare_exchange(from, from + 1, Ordering::SeqCst, Ordering::SeqCst);
}

fn within<T>(
    runtime: &Handle,
    limit: Duration,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, CallError> {
    match runtime.block_on(async { tokio::time::timeout(limit, call).await }) {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(CallError::Silent(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// An open connection. One thread uses it.
pub(super) struct PostgresConnection {
    client: Client,
    runtime: Handle,
    /// Whether the server has warned since the last look.
    warned: Arc<AtomicBool>,
    /// Which server is tried next, and which this one is.
    turn: Arc<AtomicUsize>,
    at: usize,
}

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

impl PostgresConnection {
    /// A server that hangs is left for the next one.
    fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, CallError> {
        within(&self.runtime, limit, call).inspect_err(|error| {
            if matches!(error, CallError::Silent(_)) {
                pass_on(&self.turn, self.at);
            }
        })
    }

    /// Runs statements without parameters; their last row, as text.
    pub(super) fn run(
        &self,
        limit: Duration,
        statements: &str,
    ) -> Result<Option<Vec<Option<String>>>, CallError> {
        let messages = self.within(limit, self.client.simple_query(statements))?;
        let row = messages.into_iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(row)
    }

    /// The rows that a statement returns.
    pub(super) fn query(
        &self,
        limit: Duration,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, CallError> {
        self.within(limit, self.client.query(statement, parameters))
    }

    /// Begins a transaction with `begin`, runs a statement in it and commits, all sent at once. `None` of `begin`: the
    /// transaction has begun.
    ///
    /// A warning of the server counts as no answer: it says that the commit is on no standby.
    pub(super) fn commit(
        &self,
        limit: Duration,
        begin: Option<&str>,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, CallError> {
        self.warned.store(false, Ordering::SeqCst);
        let all = async {
            // Polled in this order at first, and so sent in this order.
            let begun = async {
                match begin {
                    Some(begin) => self.client.batch_execute(begin).await,
                    None => Ok(()),
                }
            };
            let (begun, rows, committed) = tokio::join!(
                biased;
                begun,
                self.client.query(statement, parameters),
                self.client.batch_execute("COMMIT")
            );
            begun?;
            let rows = rows?;
            committed?;
            Ok(rows)
        };
        let rows = self.within(limit, all)?;
        if self.warned.swap(false, Ordering::SeqCst) {
            let reason =
                "the database warned while it committed, so the change may be on no standby";
            return Err(CallError::Lost(reason.to_owned()));
        }
        Ok(rows)
    }

    /// Prepares a statement.
    pub(super) fn prepare(&self, limit: Duration, statement: &str) -> Result<Statement, CallError> {
        self.within(limit, self.client.prepare(statement))
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// A sequence as the database has it. None is beyond [`crate::log::MAX_SEQUENCE`].
pub(super) fn signed(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// A sequence of the database.
pub(super) fn unsigned(sequence: i64) -> u64 {
    u64::try_from(sequence).unwrap_or(0)
}
