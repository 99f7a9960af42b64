//! The SCIM service: takes a request through gate, route, body and handler, and counts and logs it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

use super::body::{self, BodyLimits};
use super::context::HttpContext;
use super::denial::Denials;
use super::error::Failure;
use super::error_form::ErrorForm;
use super::framing;
use super::gate::{self, Admitted};
use super::health::Health;
use super::request_metrics::{ConnectionMetrics, RequestMetrics};
use super::respond::{HttpResponse, ResponseBody};
use super::router;
use super::routes::{BodyKind, Handler, ROUTES};
use super::scim::Call;
use super::server::{self, ConnectionStats, Peer};
use super::work_limits::WorkLimits;
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::directory::{Directory, DirectoryError};
use crate::logging::REQUESTS;

/// The header that gives authenticated clients the id of their request in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The service that answers requests for SCIM, health and readiness.
pub struct ScimService {
    /// A request loads the context once and uses it to its end.
    pub(super) context: ArcSwap<HttpContext>,
    pub(super) denials: Denials,
    pub(super) request_metrics: RequestMetrics,
    pub(super) connections: Arc<ConnectionStats>,
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
        let request_metrics = RequestMetrics::new(ROUTES.len());
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

    async fn handle(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: Incoming,
        record: &mut RequestRecord,
    ) -> Result<HttpResponse, Failure> {
        if let Err(failure) = framing::check(parts) {
            peer.refused();
            body::discard(parts, body, body::REFUSED).await;
            return Err(failure);
        }
        let mut context = self.context.load_full();
        let found = match router::find(&parts.method, parts.uri.path()) {
            Ok(found) => match found.route.handler {
                Handler::Public(handler) => {
                    record.row = Some(found.row);
                    return Ok(handler(self.health(&context)));
                }
                Handler::Authenticated(handler) => Ok((found, handler)),
            },
            // Only the authenticated learn that there is no such route.
            Err(failure) => Err(failure),
        };
        let admission = self.authenticate(&context, peer, parts, record).and_then(|admitted| {
            self.count(&context, &admitted)?;
            let (found, handler) = found?;
            record.row = Some(found.row);
            record.errors = found.route.errors;
            gate::authorize(found.route.audience, admitted.scopes)?;
            Ok((admitted, found, handler))
        });
        let (mut admitted, found, handler) = match admission {
            Ok(admission) => admission,
            Err(failure) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
            }
        };
        let body = match found.route.body {
            BodyKind::None => Bytes::new(),
            BodyKind::Scim => {
                let limits =
                    BodyLimits { bytes: context.max_body_bytes, time: context.body_timeout };
                body::read_json(parts, body, limits).await?
            }
        };
        loop {
            let call = Call::new(&context, parts, &found.path, body.clone(), admitted);
            match tokio::time::timeout(context.request_timeout, handler(call)).await {
                // Nothing was done: the request is handled again, in the context of the new configuration.
                Ok(Err(Failure::Directory(DirectoryError::Superseded))) => {
                    context = self.context.load_full();
                    admitted = self.authenticate(&context, peer, parts, record)?;
                    gate::authorize(found.route.audience, admitted.scopes)?;
                }
                Ok(outcome) => return outcome,
                Err(_) => return Err(Failure::TooSlow),
            }
        }
    }

    /// Has the gate authenticate a request, and records the outcome.
    fn authenticate(
        &self,
        context: &HttpContext,
        peer: &Peer,
        parts: &Parts,
        record: &mut RequestRecord,
    ) -> Result<Admitted, Failure> {
        match context.gate.authenticate(peer, &parts.headers, &context.directory) {
            Ok(admitted) => {
                peer.authenticated();
                record.connection.clone_from(&admitted.connection);
                record.dialect = admitted.manner.dialect();
                record.requests = Some(Arc::clone(&admitted.requests));
                Ok(admitted)
            }
            Err(denial) => {
                peer.refused();
                context.directory.record_denied(denial.for_audit());
                Err(self.denials.record(&denial, &record.id))
            }
        }
    }

    /// Counts a request against the daily quota of its connection.
    fn count(&self, context: &HttpContext, admitted: &Admitted) -> Result<(), Failure> {
        admitted.count(context.directory.now()).map_err(Failure::QuotaExceeded)
    }

    /// Logs summaries of denied requests, until dropped.
    pub async fn log_denials(&self) {
        self.denials.log_summaries().await;
    }

    /// Logs the denied requests that no summary has covered yet.
    pub fn flush_denials(&self) {
        self.denials.flush();
    }

    /// The state that `/healthz` and `/readyz` report.
    pub(super) fn health(&self, context: &HttpContext) -> Health {
        Health {
            is_writable: context.directory.is_writable(),
            is_stopping: self.stopping.load(Ordering::Relaxed),
        }
    }
}

impl server::Service for ScimService {
    type Body = ResponseBody;

    fn stats(&self) -> &Arc<ConnectionStats> {
        &self.connections
    }

    async fn call(&self, peer: &Peer, request: Request<Incoming>) -> HttpResponse {
        let watch = Stopwatch::start();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut record = RequestRecord::new(
            format!("{}-{number:x}", self.boot),
            self.context.load().default_dialect,
        );
        let (parts, body) = request.into_parts();
        let outcome = {
            let work = pin!(self.handle(peer, &parts, body, &mut record));
            CatchPanic(AssertUnwindSafe(work)).await
        };
        let mut answer = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => {
                failure.log(&record.id);
                if matches!(failure, Failure::QuotaExceeded(_)) {
                    self.request_metrics.note_over_quota();
                }
                failure.into_response(record.errors, &record.id, record.dialect)
            }
            Err(()) => {
                tracing::error!(
                    request = record.id,
                    "a handler panicked; please report this as a bug"
                );
                Failure::Internal.into_response(record.errors, &record.id, record.dialect)
            }
        };
        let took = watch.elapsed();
        self.request_metrics.note(record.requests.as_deref(), record.row, answer.status(), took);
        if record.requests.is_some()
            && let Ok(id) = HeaderValue::from_str(&record.id)
        {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        record.log(&parts, answer.status(), took);
        answer
    }
}

/// What is known of a request, for the log and the metrics. Never its query or body: those hold personal
/// data.
struct RequestRecord {
    id: String,
    /// The caller's connection; empty if there is none.
    connection: String,
    /// The dialect and the form of an error response.
    dialect: Dialect,
    errors: ErrorForm,
    /// The index of the route in the table.
    row: Option<usize>,
    /// The metrics of the caller's connection; `None` for denied requests and public routes.
    requests: Option<Arc<ConnectionMetrics>>,
}

impl RequestRecord {
    fn new(id: String, dialect: Dialect) -> Self {
        let (connection, errors) = (String::new(), ErrorForm::Scim);
        Self { id, connection, dialect, errors, row: None, requests: None }
    }

    /// Logs the request of an authenticated caller. Others get no line each, because an attack would make
    /// many: `denial` logs a summary of denied requests.
    fn log(&self, parts: &Parts, status: StatusCode, took: Duration) {
        if self.requests.is_none() {
            return;
        }
        // Milliseconds, in hundredths.
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

/// A future that turns a panic into an outcome: a panic costs one request, not the connection.
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
