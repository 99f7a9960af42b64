//! The HTTP service: connections and TLS (`server/`), authentication (`gate`), SCIM (`scim/`).
//!
//! A request passes, in this order: connection limits and TLS (`server/`), peer address, credential and
//! origin (`gate`), route (`router`), body (`body`), handler (`scim/`). Each request gets exactly one
//! response, and each authenticated request one line in the log.

mod body;
mod context;
mod denial;
mod deny_limiter;
mod error;
mod gate;
mod log_summary;
pub mod metrics;
mod precondition;
mod request_metrics;
mod respond;
mod router;
mod scim;
pub mod server;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::directory::{Directory, DirectoryError};
use crate::logging::REQUESTS;
use context::{HttpContext, WorkLimits};
use denial::Denials;
use error::Failure;
use gate::Admitted;
use request_metrics::{ConnectionMetrics, RequestMetrics};
use respond::Answer;
use router::{Action, Routed};
use scim::Call;
use server::Counts;

/// The path below which SCIM is served.
pub const BASE_PATH: &str = "/scim/v2";

/// The header that gives authenticated clients the id of their request in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The service that answers requests for SCIM, health and readiness.
pub struct ScimService {
    /// A request loads the context once and uses it to its end.
    context: ArcSwap<HttpContext>,
    denials: Denials,
    request_metrics: RequestMetrics,
    connections: Arc<Counts>,
    /// Whether the server has begun to stop.
    stopping: AtomicBool,
    /// Differs between starts, so that request ids do not repeat.
    boot: String,
    requests: AtomicU64,
}

impl ScimService {
    /// Creates the service of a directory. `boot` differs between starts of this appliance; request ids
    /// begin with it.
    pub fn new(directory: Arc<Directory>, config: &Config, boot: String) -> Self {
        let request_metrics = RequestMetrics::new();
        let work_limits = Arc::new(WorkLimits::new());
        Self {
            context: ArcSwap::from_pointee(HttpContext::new(
                directory,
                config,
                work_limits,
                &request_metrics,
            )),
            denials: Denials::new(config.limits.max_refusals_per_minute),
            request_metrics,
            connections: Arc::default(),
            stopping: AtomicBool::new(false),
            boot,
            requests: AtomicU64::new(0),
        }
    }

    /// Applies another configuration to all requests from now on. The returned function tells whether
    /// requests of the previous configuration are still being answered.
    pub fn reconfigure(
        &self,
        directory: Arc<Directory>,
        config: &Config,
    ) -> impl Fn() -> bool + use<> {
        let work_limits = Arc::clone(&self.context.load().work_limits);
        self.denials.set_limit(config.limits.max_refusals_per_minute);
        let context = HttpContext::new(directory, config, work_limits, &self.request_metrics);
        let before = Arc::downgrade(&self.context.swap(Arc::new(context)));
        move || before.strong_count() > 0
    }

    /// Makes `/readyz` answer 503 from now on, because the server is about to stop.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    async fn answer(
        &self,
        peer: IpAddr,
        parts: &Parts,
        body: Incoming,
        note: &mut Note,
    ) -> Result<Answer, Failure> {
        let mut context = self.context.load_full();
        let routed = router::find(&parts.method, parts.uri.path());
        if let Ok(Routed { action: action @ (Action::Health | Action::Ready), row, .. }) = &routed {
            note.row = Some(*row);
            return Ok(self.health(&context, *action));
        }
        let mut admitted = match self.admit(&context, peer, parts, note) {
            Ok(admitted) => admitted,
            Err(failure) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
            }
        };
        let routed = match admitted.count(Clock::System.now()) {
            Ok(()) => routed,
            Err(used_up) => {
                self.request_metrics.note_over_quota();
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
            let limits = body::Limits { bytes: context.max_body_bytes, time: context.body_timeout };
            body::read(parts, body, limits).await?
        } else {
            Bytes::new()
        };
        loop {
            let call = Call::new(&context, parts, &routed, admitted);
            let work = scim::handle(call, routed.action, body.clone());
            match tokio::time::timeout(context.request_timeout, work).await {
                // Nothing was done: the request is handled again, in the context of the new configuration.
                Ok(Err(Failure::Directory(DirectoryError::Superseded))) => {
                    context = self.context.load_full();
                    admitted = self.admit(&context, peer, parts, note)?;
                }
                Ok(outcome) => return outcome,
                Err(_) => return Err(Failure::TooSlow),
            }
        }
    }

    /// Has the gate look at a request, and notes what it finds.
    fn admit(
        &self,
        context: &HttpContext,
        peer: IpAddr,
        parts: &Parts,
        note: &mut Note,
    ) -> Result<Admitted, Failure> {
        match context.gate.admit(peer, &parts.headers, &context.directory) {
            Ok(admitted) => {
                note.connection.clone_from(&admitted.connection);
                note.dialect = admitted.manner.dialect();
                note.requests = Some(Arc::clone(&admitted.requests));
                Ok(admitted)
            }
            Err(denial) => {
                context.directory.record_denied(denial.for_audit());
                Err(self.denials.record(&denial, &note.id))
            }
        }
    }

    /// Logs summaries of denied requests, until dropped.
    pub async fn log_denials(&self) {
        self.denials.log_summaries().await;
    }

    /// Logs the denied requests that no summary has covered yet.
    pub fn flush_denials(&self) {
        self.denials.flush();
    }

    /// Whether it lives, which is whether changes can be made; ready it is not when it stops, either.
    fn health(&self, context: &HttpContext, action: Action) -> Answer {
        let leaving = action == Action::Ready && self.stopping.load(Ordering::Relaxed);
        let status = if context.directory.is_writable() && !leaving {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        respond::empty(status)
    }
}

impl server::Service for ScimService {
    fn counts(&self) -> &Arc<Counts> {
        &self.connections
    }

    async fn call(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let watch = Stopwatch::start();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut note =
            Note::new(format!("{}-{number:x}", self.boot), self.context.load().strangers);
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
        self.request_metrics.note(note.requests.as_deref(), note.row, answer.status(), took);
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
    requests: Option<Arc<ConnectionMetrics>>,
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
            target: REQUESTS,
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
