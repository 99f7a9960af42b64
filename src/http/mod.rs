//! The HTTP door: bytes below, SCIM above, the gate between.
//!
//! A request passes, in this order: connection limits and TLS (`server/`), peer address, token and
//! origin (`gate`), route (`router`), body (`body`), handler (`scim/`). Whatever happens, one answer in
//! SCIM's form goes back and one line is logged.

mod body;
mod burst;
mod error;
mod gate;
pub mod monitor;
mod precondition;
mod refusal;
mod respond;
mod router;
mod scim;
pub mod server;
mod throttle;
mod traffic;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::connection::method::Manner;
use crate::directory::Directory;
use crate::scim::query::PageLimits;
use error::Failure;
use gate::Gate;
use refusal::Refusals;
use respond::Answer;
use router::{Action, Routed};
use scim::Call;
use scim::discovery::Discovery;
use server::Counts;
use traffic::{Requests, Traffic};

/// How many searches may look at many resources at once.
const MAX_SCANS: usize = 4;

/// Below which path SCIM is served.
pub const BASE_PATH: &str = "/scim/v2";

/// Tells a client that was let in by what its request is found in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers requests: the service behind the listener.
pub struct Door {
    directory: Arc<Directory>,
    gate: Gate,
    refusals: Refusals,
    traffic: Traffic,
    connections: Arc<Counts>,
    /// In which dialect those are answered who have not shown which connection they are.
    strangers: Dialect,
    discovery: Discovery,
    /// The URL below which resources are located.
    base_url: String,
    page_limits: PageLimits,
    /// Searches that look at many resources, at once.
    scans: Arc<Semaphore>,
    max_body_bytes: usize,
    body_timeout: Duration,
    request_timeout: Duration,
    /// Tells this process's requests from those of the one before.
    boot: String,
    requests: AtomicU64,
}

impl Door {
    /// A door to the directory, as the configuration wants it. `boot` is a text that no other start of
    /// this appliance has; it begins each request id.
    pub fn new(directory: Arc<Directory>, config: &Config, boot: String) -> Self {
        let base_url = format!("{}{BASE_PATH}", config.public_url.as_str());
        let page_limits = PageLimits {
            default_count: config.limits.default_count,
            max_count: config.limits.max_count,
            max_body_bytes: config.limits.max_body_bytes,
        };
        let mut methods = config.connections.values().map(|connection| connection.method);
        let all_flat = methods.all(|method| Manner::of(method).dialect() == Dialect::Flat);
        let traffic = Traffic::new();
        Self {
            gate: Gate::new(config, &traffic),
            refusals: Refusals::new(config.limits.max_refusals_per_minute),
            traffic,
            connections: Arc::default(),
            strangers: if all_flat { Dialect::Flat } else { Dialect::Rfc },
            discovery: Discovery::new(&base_url, page_limits, directory.registry()),
            base_url,
            page_limits,
            scans: Arc::new(Semaphore::new(MAX_SCANS)),
            max_body_bytes: config.limits.max_body_bytes,
            body_timeout: config.limits.body_timeout,
            request_timeout: config.limits.request_timeout,
            boot,
            requests: AtomicU64::new(0),
            directory,
        }
    }

    async fn answer(
        &self,
        peer: IpAddr,
        parts: &Parts,
        body: Incoming,
        note: &mut Note,
    ) -> Result<Answer, Failure> {
        let routed = router::find(&parts.method, parts.uri.path());
        if let Ok(Routed { action: Action::Health, row, .. }) = routed {
            note.row = Some(row);
            return Ok(self.health());
        }
        let admitted = match self.gate.admit(peer, &parts.headers, &self.directory) {
            Ok(admitted) => {
                note.connection.clone_from(&admitted.connection);
                note.dialect = admitted.manner.dialect();
                note.requests = Some(Arc::clone(&admitted.requests));
                admitted
            }
            Err(refused) => {
                let failure = self.refusals.refuse(&refused, &note.id);
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
            }
        };
        let routed = match admitted.count(Clock::System.now()) {
            Ok(()) => routed,
            Err(used_up) => {
                self.traffic.note_over_quota();
                Err(Failure::QuotaUsedUp(used_up))
            }
        };
        let routed = match routed {
            Ok(routed) => routed,
            Err(failure) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
            }
        };
        note.row = Some(routed.row);
        let body = if routed.action.takes_body() {
            let limits = body::Limits { bytes: self.max_body_bytes, time: self.body_timeout };
            body::read(parts, body, limits).await?
        } else {
            Bytes::new()
        };
        let call = Call::new(self, parts, &routed, admitted);
        let work = scim::handle(call, routed.action, body);
        match tokio::time::timeout(self.request_timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::TooSlow),
        }
    }

    /// Tells the log of refusals, until dropped.
    pub async fn keep_telling(&self) {
        self.refusals.keep_telling().await;
    }

    /// Tells the log of the refusals that it does not know of yet.
    pub fn tell_rest(&self) {
        self.refusals.tell_rest();
    }

    fn health(&self) -> Answer {
        let status = if self.directory.is_writable() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        respond::empty(status)
    }
}

impl server::Service for Door {
    fn unparsed(&self, status: StatusCode) -> (&'static str, Bytes) {
        (respond::SCIM_JSON, error::unparsed(status, self.strangers))
    }

    fn counts(&self) -> &Arc<Counts> {
        &self.connections
    }

    async fn call(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let watch = Stopwatch::start();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut note = Note::new(format!("{}-{number:x}", self.boot), self.strangers);
        let (parts, body) = request.into_parts();
        let outcome = {
            let work = pin!(self.answer(peer, &parts, body, &mut note));
            CatchPanic(AssertUnwindSafe(work)).await
        };
        let mut answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => {
                failure.log(&note.id);
                failure.into_answer(&note.id, note.dialect)
            }
            Err(()) => {
                tracing::error!(
                    request = note.id,
                    "a handler panicked; please report this as a bug"
                );
                Failure::Internal.into_answer(&note.id, note.dialect)
            }
        };
        let took = watch.elapsed();
        self.traffic.note(note.requests.as_deref(), note.row, answer.status(), took);
        if note.requests.is_some()
            && let Ok(id) = HeaderValue::from_str(&note.id)
        {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        note.log(&parts, answer.status(), took);
        answer
    }
}

/// What the log says of a request. Never its query or body: those hold personal data.
struct Note {
    id: String,
    connection: String,
    /// In which failures are told.
    dialect: Dialect,
    /// The row of its route.
    row: Option<usize>,
    /// Those of its connection; `None` if it was not let in, or need not be.
    requests: Option<Arc<Requests>>,
}

impl Note {
    fn new(id: String, dialect: Dialect) -> Self {
        Self { id, connection: String::new(), dialect, row: None, requests: None }
    }

    /// Logs a request of a connection. Of others nobody needs a line each, and an attack would make
    /// many: whoever is refused is told of by `refusal`.
    fn log(&self, parts: &Parts, status: StatusCode, took: Duration) {
        if self.requests.is_none() {
            return;
        }
        // Hundredths are enough.
        let ms = (took.as_secs_f64() * 100_000.0).round() / 100.0;
        tracing::info!(
            request = self.id,
            connection = self.connection,
            method = %parts.method,
            route = self.row.map_or("", router::template),
            status = status.as_u16(),
            ms,
            "request"
        );
    }
}

/// A future whose panic is an outcome: it costs one request, not the connection.
struct CatchPanic<F>(AssertUnwindSafe<F>);

impl<F: Future + Unpin> Future for CatchPanic<F> {
    type Output = Result<F::Output, ()>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let work = std::pin::Pin::new(&mut *self.0);
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(())),
        }
    }
}
