//! The HTTP door: bytes below, SCIM above, the gate between.
//!
//! A request passes, in this order: connection limits and TLS (`server/`), peer address, token and
//! origin (`gate`), route (`router`), body (`body`), handler (`scim/`). Whatever happens, one answer in
//! SCIM's form goes back and one line is logged.

mod body;
mod error;
mod gate;
mod precondition;
mod respond;
mod router;
mod scim;
pub mod server;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::connection::method::Manner;
use crate::directory::Directory;
use crate::scim::query::PageLimits;
use error::Failure;
use gate::Gate;
use respond::Answer;
use router::{Action, Routed};
use scim::Call;
use scim::discovery::Discovery;

/// How many searches may look at many resources at once.
const MAX_SCANS: usize = 4;

/// Below which path SCIM is served.
pub const BASE_PATH: &str = "/scim/v2";

/// Answers requests: the service behind the listener.
pub struct Door {
    directory: Arc<Directory>,
    gate: Gate,
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
        Self {
            gate: Gate::new(config),
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
        if let Ok(Routed { action: Action::Health, .. }) = routed {
            note.route = "/healthz";
            return Ok(self.health());
        }
        let admitted = match self.gate.admit(peer, &parts.headers, &self.directory) {
            Ok(admitted) => {
                note.connection.clone_from(&admitted.connection);
                note.dialect = admitted.manner.dialect();
                admitted
            }
            Err(refusal) => {
                note.refusal = Some(refusal.to_string());
                self.directory.note_refusal(self.gate.told(peer, &parts.headers, &refusal));
                body::discard(parts, body, body::REFUSED).await;
                return Err(Failure::Unauthenticated);
            }
        };
        let routed = match routed {
            Ok(routed) => routed,
            Err(failure) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
            }
        };
        note.route = routed.template;
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

    async fn call(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let watch = Stopwatch::start();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut note = Note::new(format!("{}-{number:x}", self.boot), self.strangers);
        let (parts, body) = request.into_parts();
        let outcome = {
            let work = pin!(self.answer(peer, &parts, body, &mut note));
            CatchPanic(AssertUnwindSafe(work)).await
        };
        let answer = match outcome {
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
        note.log(peer, &parts, answer.status(), watch);
        answer
    }
}

/// What the log says of a request. Never its query or body: those hold personal data.
struct Note {
    id: String,
    connection: String,
    /// In which failures are told.
    dialect: Dialect,
    route: &'static str,
    refusal: Option<String>,
}

impl Note {
    fn new(id: String, dialect: Dialect) -> Self {
        Self { id, connection: String::new(), dialect, route: "", refusal: None }
    }

    fn log(&self, peer: IpAddr, parts: &Parts, status: StatusCode, watch: Stopwatch) {
        let (request, status) = (&self.id, status.as_u16());
        if let Some(reason) = &self.refusal {
            tracing::warn!(request, %peer, status, reason, "refused");
            return;
        }
        let ms = watch.elapsed().as_secs_f64() * 1_000.0;
        tracing::info!(
            request,
            connection = self.connection,
            method = %parts.method,
            route = self.route,
            status,
            ms = format_args!("{ms:.2}"),
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
