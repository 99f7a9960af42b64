//! The SCIM service: takes a request through gate, route, body and handler, and counts and logs it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::sync::watch;

use super::audience::{Audience, TokenScope};
use super::body::{self, BodyLimits};
use super::context::HttpContext;
use super::denial::{Denial, Denials};
use super::error::Failure;
use super::error_form::ErrorForm;
use super::events::Consumer;
use super::failed_writes::FailedWrites;
use super::federation::IssuerKeys;
use super::framing;
use super::gate::{self, Admitted};
use super::health::Health;
use super::request_metrics::RequestMetrics;
use super::request_record::{Caller, RequestRecord};
use super::respond::{HttpResponse, ResponseBody};
use super::router;
use super::routes::{BodyKind, Handler, ROUTES, Route};
use super::scim::Call;
use super::work_limits::WorkLimits;
use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::directory::{DeniedRequest, Directory, DirectoryError};
use crate::event::Reason;
use crate::feed::Feed;
use crate::logging::summary;
use crate::request_log::{RawBodies, RequestEntry, RequestLog};
use crate::transport::{ConnectionStats, Peer, Service};

/// The header that gives clients the id of their request in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a request waits for the configuration that another node has changed, before it looks again.
const RENEWAL: Duration = Duration::from_millis(20);

/// The service that answers requests for SCIM, health and readiness.
pub struct ScimService {
    /// A request loads the context once and uses it to its end.
    pub(super) context: Arc<ArcSwap<HttpContext>>,
    pub(super) denials: Denials,
    pub(super) issuer_keys: IssuerKeys,
    pub(super) request_metrics: RequestMetrics,
    /// The statistics that the listener keeps.
    pub connections: Arc<ConnectionStats>,
    pub(super) request_log: Arc<RequestLog>,
    failed_writes: FailedWrites,
    /// Whether the server has begun to stop.
    stopping: watch::Sender<bool>,
    /// Differs between starts, so that request ids do not repeat.
    boot: String,
    requests: AtomicU64,
}

impl ScimService {
    /// Creates the service of a directory. `boot` differs between starts of this appliance; request ids
    /// begin with it.
    pub fn new(
        directory: Arc<Directory>,
        feed: Arc<Feed>,
        config: &Config,
        boot: String,
        request_log: Arc<RequestLog>,
    ) -> Self {
        let request_metrics = RequestMetrics::new(ROUTES.len());
        let work_limits = Arc::new(WorkLimits::new());
        let context = HttpContext::new(directory, feed, config, work_limits, &request_metrics);
        let issuer_keys = IssuerKeys::default();
        context.trusts.retain(&issuer_keys);
        Self {
            context: Arc::new(ArcSwap::from_pointee(context)),
            issuer_keys,
            denials: Denials::new(config.limits.max_refusals_per_minute),
            request_metrics,
            connections: Arc::default(),
            request_log,
            failed_writes: FailedWrites::new(),
            stopping: watch::Sender::new(false),
            boot,
            requests: AtomicU64::new(0),
        }
    }

    /// Each application, with how many of its consumers wait for events or stream them.
    pub fn event_consumers(&self) -> Vec<(String, u64)> {
        let mut consumers = Vec::new();
        self.request_metrics.each(&mut |(kind, name), requests| {
            if kind == "application" {
                let waiting = requests.waiting.load(Ordering::Relaxed);
                consumers.push((name.to_owned(), waiting as u64));
            }
        });
        consumers
    }

    /// Applies another configuration to all requests from now on. The returned function tells whether
    /// requests of the previous configuration are still being answered.
    pub fn reconfigure(
        &self,
        directory: Arc<Directory>,
        config: &Config,
    ) -> impl Fn() -> bool + use<> {
        let present = self.context.load();
        let work_limits = Arc::clone(&present.work_limits);
        let feed = Arc::clone(&present.feed);
        drop(present);
        self.denials.set_limit(config.limits.max_refusals_per_minute);
        let context = HttpContext::new(directory, feed, config, work_limits, &self.request_metrics);
        context.trusts.retain(&self.issuer_keys);
        let before = Arc::downgrade(&self.context.swap(Arc::new(context)));
        move || before.strong_count() > 0
    }

    /// Makes `/readyz` answer 503 from now on and ends what waits for events, because the server is about to stop.
    pub fn begin_stop(&self) {
        self.stopping.send_replace(true);
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
                    return Ok(handler(&context, self.health(&context)));
                }
                Handler::Client(handler) => {
                    record.row = Some(found.row);
                    record.errors = found.route.errors;
                    return self.answer_client(&context, peer, parts, body, handler, record).await;
                }
                handler => {
                    record.path = Some(found.path);
                    Ok((found.route, found.row, handler))
                }
            },
            // Only the authenticated learn that there is no such route.
            Err(failure) => Err(failure),
        };
        let admission = self.authenticate(&context, peer, parts, record).and_then(|admitted| {
            self.count(&context, &admitted)?;
            let (route, row, handler) = found?;
            record.row = Some(row);
            record.errors = route.errors;
            self.authorize(&context, route, &admitted)?;
            gate::check_site(route.audience, &parts.headers)?;
            Ok((admitted, route, handler))
        });
        let (mut admitted, route, handler) = match admission {
            Ok(admission) => admission,
            Err(failure) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
            }
        };
        let handler = match handler {
            Handler::Authenticated(handler) => handler,
            Handler::Waiting(handler) => {
                let (feed, swap) = (Arc::clone(&context.feed), Arc::clone(&self.context));
                let consumer = Consumer::new(feed, swap, self.stopping.subscribe(), admitted);
                // A reload waits for those that hold the configuration before it.
                drop(context);
                return handler(consumer, parts).await;
            }
            Handler::Public(_) | Handler::Client(_) => return Err(Failure::Internal),
        };
        let body = match route.body {
            BodyKind::None | BodyKind::Form => Bytes::new(),
            BodyKind::Scim => {
                let limits =
                    BodyLimits { bytes: context.max_body_bytes, time: context.body_timeout };
                body::read_json(parts, body, limits).await?
            }
        };
        if route.audience == Audience::Token(TokenScope::Read)
            && let Some(latest) = context.directory.latest()
        {
            latest.await.unwrap_or(Err(DirectoryError::Stopped))?;
            context = self.context.load_full();
            // What was revoked on another node before the request was sent is known now.
            admitted = self.authenticate(&context, peer, parts, record)?;
            self.authorize(&context, route, &admitted)?;
        }
        let (connection, _) = admitted.owner.names();
        let captured = connection.and_then(|name| self.request_log.captured(name));
        if [Method::POST, Method::PUT].contains(&parts.method) {
            record.written = body.clone();
        }
        record.body = captured.map(|hidden| (body.clone(), hidden));
        let since = Stopwatch::start();
        loop {
            let path = record.path.get_or_insert_default();
            let call = Call::new(&context, parts, path, body.clone(), admitted, &record.notes);
            match tokio::time::timeout(context.request_timeout, handler(call)).await {
                // Nothing was done: the request is handled again, in the context of the new configuration.
                Ok(Err(Failure::Directory(DirectoryError::Superseded))) => {
                    if since.elapsed() > context.request_timeout {
                        return Err(Failure::Directory(DirectoryError::Superseded));
                    }
                    let newer = self.context.load_full();
                    if Arc::ptr_eq(&newer, &context) {
                        // Another node has changed it: it comes in a moment.
                        tokio::time::sleep(RENEWAL).await;
                    }
                    context = newer;
                    admitted = self.authenticate(&context, peer, parts, record)?;
                    self.authorize(&context, route, &admitted)?;
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
                record.caller = Caller::of(&admitted);
                record.dialect = admitted.manner.dialect();
                record.requests = Some(Arc::clone(&admitted.requests));
                Ok(admitted)
            }
            Err(denial) => Err(self.deny(context, peer, &denial, record)),
        }
    }

    /// Has the gate check the scopes of a caller, and records a refusal in the audit trail.
    fn authorize(
        &self,
        context: &HttpContext,
        route: &Route,
        admitted: &Admitted,
    ) -> Result<(), Failure> {
        gate::authorize(route.audience, admitted.scopes).inspect_err(|_| {
            context.directory.record_denied(DeniedRequest {
                reason: Reason::TokenScope,
                owner: Some(admitted.owner.clone()),
                token: Some(admitted.token.clone()),
                detail: None,
                address: admitted.address,
            });
        })
    }

    /// Denies a request: counts it, and records it in log and audit trail.
    pub(super) fn deny(
        &self,
        context: &HttpContext,
        peer: &Peer,
        denial: &Denial,
        record: &mut RequestRecord,
    ) -> Failure {
        peer.refused();
        context.directory.record_denied(denial.for_audit());
        let (failure, is_logged) = self.denials.record(denial, &record.id);
        if is_logged {
            record.deny(denial);
        }
        record.offers_basic = context.gate.takes_basic();
        failure
    }

    /// Puts a request into the request log: each authenticated one, and of denied ones the first of a kind.
    fn note(
        &self,
        record: RequestRecord,
        bodies: Option<RawBodies>,
        entry: impl FnOnce(RequestRecord) -> RequestEntry,
    ) {
        let is_served = record.requests.is_some();
        if self.request_log.is_on() && (is_served || record.error.denied.is_some()) {
            let entry = entry(record);
            match is_served {
                true => self.request_log.note_served(entry, bodies),
                false => self.request_log.note_denied(&entry),
            }
        }
    }

    /// Counts a request against the daily quota of its connection.
    fn count(&self, context: &HttpContext, admitted: &Admitted) -> Result<(), Failure> {
        admitted.count(context.directory.now()).map_err(Failure::QuotaExceeded)
    }

    /// Logs summaries of denied requests and failed writes, until dropped.
    pub async fn log_summaries(&self) {
        loop {
            tokio::time::sleep(summary::CHECK_EVERY).await;
            self.denials.log_due(&self.request_log);
            self.failed_writes.log_due();
        }
    }

    /// Logs what no summary has covered yet.
    pub fn flush_summaries(&self) {
        self.denials.flush(&self.request_log);
        self.failed_writes.flush();
    }

    /// The state that `/healthz` and `/readyz` report.
    pub(super) fn health(&self, context: &HttpContext) -> Health {
        Health {
            is_writable: context.directory.is_writable(),
            is_reachable: context.directory.problem().is_none(),
            is_stopping: *self.stopping.borrow(),
        }
    }
}

impl Service for ScimService {
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
                if matches!(failure, Failure::QuotaExceeded(_)) {
                    self.request_metrics.note_over_quota();
                }
                fail(failure, &mut record)
            }
            Err(()) => {
                tracing::error!(
                    request = record.id,
                    "a handler panicked; please report this as a bug"
                );
                fail(Failure::Internal, &mut record)
            }
        };
        let (status, took) = (answer.status(), watch.elapsed());
        let now = Clock::System.now();
        self.request_metrics.note(record.requests.as_deref(), record.row, status, took);
        if let Some(requests) = &record.requests {
            requests.note_outcome(now, status, record.error.scim_type);
        }
        let is_public = record.requests.is_none() && status.is_success();
        if !is_public && let Ok(id) = HeaderValue::from_str(&record.id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        record.log(&parts, status, took, &self.failed_writes);
        let bodies = record.body.take().map(|(request, hidden)| {
            let answer = answer.body().whole().unwrap_or_default();
            RawBodies { request, answer, hidden }
        });
        self.note(record, bodies, |record| record.into_entry(&parts, status, took, now));
        answer
    }
}

/// The response to a request that failed.
fn fail(failure: Failure, record: &mut RequestRecord) -> HttpResponse {
    failure.log(&record.id);
    let report = failure.report(&record.id, record.dialect);
    record.fail(&report);
    let mut answer = record.errors.respond(report, record.dialect);
    if record.offers_basic
        && record.errors == ErrorForm::Scim
        && answer.status() == StatusCode::UNAUTHORIZED
    {
        let challenges = HeaderValue::from_static("Bearer realm=\"scim\", Basic realm=\"scim\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenges);
    }
    answer
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
