//! The metrics endpoint: `/metrics`, `/healthz` and `/readyz` on a listener of their own.
//!
//! No library: all counters exist before the first request (`request_metrics`), so that counting is one
//! atomic addition, and the text format takes a page. A library would look each label up behind a lock,
//! and bring a second version of what sled needs already.

mod catalogue;
mod exposition;
mod scrape_token;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use jiff::Timestamp;

use super::context::HttpContext;
use super::respond::{HttpResponse, ResponseBody};
use super::routes::ROUTES;
use super::{ScimService, health, respond};
use crate::clock::Clock;
use crate::connection::token::{Token, TokenOwner};
use crate::directory::DirectoryStats;
use crate::feed::{Feed, FeedStats};
use crate::metrics::Counter;
use crate::operator::WebhookControl;
use crate::transport::{ConnectionStats, ListenerConfig, Peer, Service};
use exposition::Exposition;
pub use scrape_token::{ScrapeTokenError, read as read_scrape_token};

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// The service that answers `/metrics`, `/healthz` and `/readyz`.
pub struct MetricsService {
    service: Arc<ScimService>,
    started: Timestamp,
    /// The configuration of the SCIM listener, with its certificate.
    listener: Arc<ArcSwap<ListenerConfig>>,
    connections: Arc<ConnectionStats>,
    dropped_log_lines: Arc<Counter>,
    feed: Arc<Feed>,
    webhooks: Arc<dyn WebhookControl>,
    /// The file with the token that `/metrics` asks for.
    token_file: Option<PathBuf>,
}

impl MetricsService {
    /// Creates the metrics of a service that was started at `started`, behind a listener with this
    /// configuration.
    pub fn new(
        service: Arc<ScimService>,
        started: Timestamp,
        listener: Arc<ArcSwap<ListenerConfig>>,
        dropped_log_lines: Arc<Counter>,
        feed: Arc<Feed>,
        webhooks: Arc<dyn WebhookControl>,
        token_file: Option<PathBuf>,
    ) -> Arc<Self> {
        let connections = Arc::default();
        Arc::new(Self {
            service,
            started,
            listener,
            connections,
            dropped_log_lines,
            feed,
            webhooks,
            token_file,
        })
    }

    /// Whether a request may read the metrics. The file is read each time, so that its token can be replaced.
    async fn may_read(&self, headers: &HeaderMap) -> bool {
        let Some(path) = self.token_file.clone() else { return true };
        match tokio::task::spawn_blocking(move || scrape_token::read(&path)).await {
            Ok(Ok(token)) => token.is_in(headers),
            Ok(Err(error)) => {
                tracing::error!(%error, "metrics are refused");
                false
            }
            Err(_) => false,
        }
    }

    async fn answer(self: &Arc<Self>, request: &Request<Incoming>) -> HttpResponse {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "Use GET or HEAD.\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let context = self.service.context.load();
        match request.uri().path() {
            "/healthz" => health::live(&context, self.service.health(&context)),
            "/readyz" => health::ready(&context, self.service.health(&context)),
            "/metrics" if !self.may_read(request.headers()).await => {
                let reason = "A token is needed: Authorization: Bearer TOKEN, with the token in metrics.token_file.\n";
                let mut answer = plain(StatusCode::UNAUTHORIZED, PLAIN, reason);
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
            "/metrics" => {
                let metrics = Arc::clone(self);
                match tokio::task::spawn_blocking(move || metrics.render()).await {
                    Ok(text) => plain(StatusCode::OK, METRICS, text),
                    Err(_) => respond::empty(StatusCode::INTERNAL_SERVER_ERROR),
                }
            }
            _ => plain(
                StatusCode::NOT_FOUND,
                PLAIN,
                "Not found. Available: /metrics, /healthz and /readyz.\n",
            ),
        }
    }

    fn render(&self) -> String {
        let context = self.service.context.load_full();
        let mut text = Exposition::default();
        self.requests(&mut text);
        self.denials(&mut text);
        connections(&self.service.connections, &mut text);
        storage(&context.directory.stats(), &mut text);
        let now = Clock::System.now();
        feed(&self.feed.stats(now), &mut text);
        self.consumers(&mut text);
        webhook::show(&self.webhooks.list(), now, &mut text);
        brakes(&context, &mut text);
        self.expiry(&context, &mut text);
        self.process(&mut text);
        text.into_string()
    }

    fn requests(&self, text: &mut Exposition) {
        text.family(&catalogue::REQUESTS);
        self.service.request_metrics.each(&mut |caller, requests| {
            for (row, code, count) in requests.counts() {
                let (method, route) = route_labels(row);
                let (status, code) = (format!("{}xx", code / 100), code.to_string());
                let labels = [
                    caller,
                    ("method", method),
                    ("route", route),
                    ("status", &status),
                    ("code", &code),
                ];
                text.sample(catalogue::REQUESTS.name, &labels, count);
            }
        });
        text.family(&catalogue::SCIM_ERRORS);
        self.service.request_metrics.each(&mut |caller, requests| {
            for (scim_type, count) in requests.errors() {
                let labels = [caller, ("scim_type", scim_type.as_str())];
                text.sample(catalogue::SCIM_ERRORS.name, &labels, count);
            }
        });
        for (number, family) in
            [catalogue::LAST_REQUEST, catalogue::LAST_SUCCESS].iter().enumerate()
        {
            text.family(family);
            self.service.request_metrics.each(&mut |caller, requests| {
                if let Some(Some(at)) = requests.last().get(number) {
                    text.sample(family.name, &[caller], moment(*at));
                }
            });
        }
        let dropped = self.service.request_log.dropped();
        text.single(&catalogue::REQUEST_LOG_DROPPED, Some(dropped));
        text.family(&catalogue::DURATION);
        for (row, counts) in self.service.request_metrics.durations().enumerate() {
            let (method, route) = route_labels(Some(row));
            if counts.count > 0 {
                let labels = [("method", method), ("route", route)];
                text.histogram(&catalogue::DURATION, &labels, &counts, MICROSECONDS);
            }
        }
    }

    fn consumers(&self, text: &mut Exposition) {
        text.family(&catalogue::FEED_CONSUMERS);
        self.service.request_metrics.each(&mut |caller, requests| {
            if caller.0 == "application" {
                let waiting = requests.waiting.load(Ordering::Relaxed);
                text.sample(catalogue::FEED_CONSUMERS.name, &[caller], waiting);
            }
        });
    }

    fn denials(&self, text: &mut Exposition) {
        text.family(&catalogue::REFUSALS);
        for (reason, count) in self.service.denials.by_reason() {
            text.sample(catalogue::REFUSALS.name, &[("reason", reason.as_str())], count);
        }
        text.family(&catalogue::KNOWN_REFUSALS);
        for (reason, count) in self.service.context.load().directory.refusals_of_known_tokens() {
            text.sample(catalogue::KNOWN_REFUSALS.name, &[("reason", reason.as_str())], count);
        }
        text.family(&catalogue::THROTTLED);
        for (limit, count) in [
            ("max_refusals_per_minute", self.service.denials.throttled()),
            ("daily_requests", self.service.request_metrics.over_quota()),
        ] {
            text.sample(catalogue::THROTTLED.name, &[("limit", limit)], count);
        }
    }

    fn expiry(&self, context: &HttpContext, text: &mut Exposition) {
        let tokens: Vec<(&TokenOwner, Vec<Token>)> = context
            .gate
            .callers()
            .map(|owner| (owner, context.directory.valid_tokens_of(owner)))
            .collect();
        text.family(&catalogue::TOKENS_VALID);
        for (owner, valid) in &tokens {
            let labels = [(owner.kind(), owner.name())];
            text.sample(catalogue::TOKENS_VALID.name, &labels, valid.len());
        }
        text.family(&catalogue::TOKEN_EXPIRES);
        for (owner, valid) in &tokens {
            let ends = valid.iter().map(|token| token.expires.unwrap_or(Timestamp::MAX));
            for (which, end) in [("first", ends.clone().min()), ("last", ends.max())] {
                if let Some(end) = end {
                    let labels = [(owner.kind(), owner.name()), ("token", which)];
                    text.sample(catalogue::TOKEN_EXPIRES.name, &labels, moment(end));
                }
            }
        }
        let tls = self.listener.load().tls.clone();
        let certificate = tls.and_then(|tls| tls.not_after());
        text.single(&catalogue::CERTIFICATE_EXPIRES, certificate.map(moment));
    }

    fn process(&self, text: &mut Exposition) {
        text.family(&catalogue::BUILD);
        text.sample(catalogue::BUILD.name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.single(&catalogue::LOG_LINES_DROPPED, Some(self.dropped_log_lines.value()));
        text.single(&catalogue::PROCESS_START, Some(moment(self.started)));
        text.single(&catalogue::PROCESS_MEMORY, memory());
        let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        text.single(&catalogue::PROCESS_FILES, files);
    }
}

impl Service for Arc<MetricsService> {
    type Body = ResponseBody;

    fn stats(&self) -> &Arc<ConnectionStats> {
        &self.connections
    }

    async fn call(&self, peer: &Peer, request: Request<Incoming>) -> HttpResponse {
        let answer = self.answer(&request).await;
        match answer.status() {
            StatusCode::UNAUTHORIZED => peer.refused(),
            _ => peer.authenticated(),
        }
        answer
    }
}

fn plain(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut answer = respond::empty(status);
    *answer.body_mut() = body.into().into();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    answer
}

/// The method and the template of a row; empty for requests without a route.
fn route_labels(row: Option<usize>) -> (&'static str, &'static str) {
    row.and_then(|row| ROUTES.get(row))
        .map_or(("", ""), |route| (route.method.as_str(), route.template))
}

fn connections(stats: &ConnectionStats, text: &mut Exposition) {
    text.single(&catalogue::CONNECTIONS_OPEN, Some(stats.open.value()));
    text.single(&catalogue::CONNECTIONS_ACCEPTED, Some(stats.accepted.value()));
    text.family(&catalogue::CONNECTIONS_REFUSED);
    for (limit, count) in [
        ("max_connections", &stats.refused_in_all),
        ("max_connections_per_address", &stats.refused_by_address),
    ] {
        text.sample(catalogue::CONNECTIONS_REFUSED.name, &[("limit", limit)], count.value());
    }
    text.single(&catalogue::CONNECTIONS_DISPLACED, Some(stats.displaced.value()));
    text.family(&catalogue::HANDSHAKES_FAILED);
    for (reason, count) in
        [("error", &stats.handshakes_failed), ("timeout", &stats.handshakes_too_slow)]
    {
        text.sample(catalogue::HANDSHAKES_FAILED.name, &[("reason", reason)], count.value());
    }
}

fn feed(figures: &FeedStats, text: &mut Exposition) {
    text.single(&catalogue::FEED_BEHIND, Some(figures.behind));
    text.single(&catalogue::FEED_BEHIND_SECONDS, Some(figures.behind_time.as_secs()));
    text.single(&catalogue::FEED_BYTES, Some(figures.bytes));
}

fn storage(figures: &DirectoryStats, text: &mut Exposition) {
    text.single(&catalogue::WRITER_WAITING, Some(figures.waiting));
    text.family(&catalogue::COMMIT_CHANGES);
    text.histogram(&catalogue::COMMIT_CHANGES, &[], &figures.groups, 1.0);
    text.family(&catalogue::FDATASYNC);
    text.histogram(&catalogue::FDATASYNC, &[], &figures.store.syncs, MICROSECONDS);
    text.single(&catalogue::JOURNAL_SEQUENCE, Some(figures.store.journal_sequence));
    text.single(&catalogue::JOURNAL_BYTES, figures.store.journal_bytes);
    text.single(&catalogue::DATABASE_BYTES, Some(figures.store.database_bytes));
    text.single(&catalogue::STATE_HELD, Some(figures.store.held_bytes as u64));
    text.single(&catalogue::DISK_FREE, figures.store.free_bytes);
    text.single(&catalogue::SNAPSHOT, figures.store.snapshot.map(moment));
    text.single(&catalogue::WRITABLE, Some(u8::from(figures.writable)));
    text.single(&catalogue::CLOCK_ALARM, Some(u8::from(!figures.clock.is_trusted)));
    text.family(&catalogue::RESOURCES);
    for (kind, count) in &figures.resources {
        text.sample(catalogue::RESOURCES.name, &[("type", kind)], count);
    }
}

fn brakes(context: &HttpContext, text: &mut Exposition) {
    let brakes = context.directory.brakes().unwrap_or_default();
    text.family(&catalogue::BRAKE_ALARMS);
    for brake in &brakes {
        let labels = [("connection", brake.connection.as_str())];
        text.sample(catalogue::BRAKE_ALARMS.name, &labels, brake.alarms);
    }
    text.family(&catalogue::BRAKE_GAIN_ALARMS);
    for brake in &brakes {
        let labels = [("connection", brake.connection.as_str())];
        text.sample(catalogue::BRAKE_GAIN_ALARMS.name, &labels, brake.gain_alarms);
    }
    text.family(&catalogue::HELD);
    for brake in &brakes {
        let labels = [("connection", brake.connection.as_str())];
        text.sample(catalogue::HELD.name, &labels, u8::from(brake.hold.is_some()));
    }
}

/// Seconds since 1970; +Inf if there is no end.
fn moment(moment: Timestamp) -> String {
    if moment == Timestamp::MAX { "+Inf".to_owned() } else { moment.as_second().to_string() }
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
