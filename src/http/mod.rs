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
mod terms;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::connection::dialect::Dialect;
use crate::directory::{Directory, DirectoryError};
use error::Failure;
use gate::Admitted;
use respond::Answer;
use router::{Action, Routed};
use scim::Call;
use terms::Terms;

/// How many searches may look at many resources at once.
const MAX_SCANS: usize = 4;

/// Below which path SCIM is served.
pub const BASE_PATH: &str = "/scim/v2";

/// Answers requests: the service behind the listener.
pub struct Door {
    /// A request takes them once, and goes by them to its end.
    terms: ArcSwap<Terms>,
    /// Whether the server has begun to stop.
    stopping: AtomicBool,
    /// Tells this process's requests from those of the one before.
    boot: String,
    requests: AtomicU64,
}

impl Door {
    /// A door to the directory, as the configuration wants it. `boot` is a text that no other start of
    /// this appliance has; it begins each request id.
    pub fn new(directory: Arc<Directory>, config: &Config, boot: String) -> Self {
        Self {
            terms: ArcSwap::from_pointee(Terms::new(
                directory,
                config,
                Arc::new(Semaphore::new(MAX_SCANS)),
            )),
            stopping: AtomicBool::new(false),
            boot,
            requests: AtomicU64::new(0),
        }
    }

    /// Has another configuration hold for each request from here on. The answer tells whether requests
    /// are still being answered under the one before.
    pub fn reopen(&self, directory: Arc<Directory>, config: &Config) -> impl Fn() -> bool + use<> {
        let scans = Arc::clone(&self.terms.load().scans);
        let terms = Terms::new(directory, config, scans);
        let before = Arc::downgrade(&self.terms.swap(Arc::new(terms)));
        move || before.strong_count() > 0
    }

    /// Says that the server stops: it is no longer ready, though it still answers.
    pub fn close(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    async fn answer(
        &self,
        peer: IpAddr,
        parts: &Parts,
        body: Incoming,
        note: &mut Note,
    ) -> Result<Answer, Failure> {
        let mut terms = self.terms.load_full();
        let routed = router::find(&parts.method, parts.uri.path());
        if let Ok(Routed { action: action @ (Action::Health | Action::Ready), template, .. }) =
            &routed
        {
            note.route = template;
            return Ok(self.health(&terms, *action));
        }
        let mut admitted = match admit(&terms, peer, parts, note) {
            Ok(admitted) => admitted,
            Err(failure) => {
                body::discard(parts, body, body::REFUSED).await;
                return Err(failure);
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
            let limits = body::Limits { bytes: terms.max_body_bytes, time: terms.body_timeout };
            body::read(parts, body, limits).await?
        } else {
            Bytes::new()
        };
        loop {
            let call = Call::new(&terms, parts, &routed, admitted);
            let work = scim::handle(call, routed.action, body.clone());
            match tokio::time::timeout(terms.request_timeout, work).await {
                // Nothing was done: it is asked for anew, under the terms that hold now.
                Ok(Err(Failure::Directory(DirectoryError::Superseded))) => {
                    terms = self.terms.load_full();
                    admitted = admit(&terms, peer, parts, note)?;
                }
                Ok(outcome) => return outcome,
                Err(_) => return Err(Failure::TooSlow),
            }
        }
    }

    /// Whether it lives, which is whether changes can be made; ready it is not when it stops, either.
    fn health(&self, terms: &Terms, action: Action) -> Answer {
        let leaving = action == Action::Ready && self.stopping.load(Ordering::Relaxed);
        let status = if terms.directory.is_writable() && !leaving {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        respond::empty(status)
    }
}

/// Has the gate look at a request, and notes what it finds.
fn admit(terms: &Terms, peer: IpAddr, parts: &Parts, note: &mut Note) -> Result<Admitted, Failure> {
    match terms.gate.admit(peer, &parts.headers, &terms.directory) {
        Ok(admitted) => {
            note.connection.clone_from(&admitted.connection);
            note.dialect = admitted.manner.dialect();
            Ok(admitted)
        }
        Err(refusal) => {
            note.refusal = Some(refusal.to_string());
            terms.directory.note_refusal(terms.gate.told(peer, &parts.headers, &refusal));
            Err(Failure::Unauthenticated)
        }
    }
}

impl server::Service for Door {
    fn unparsed(&self, status: StatusCode) -> (&'static str, Bytes) {
        (respond::SCIM_JSON, error::unparsed(status, self.terms.load().strangers))
    }

    async fn call(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let watch = Stopwatch::start();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut note = Note::new(format!("{}-{number:x}", self.boot), self.terms.load().strangers);
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
