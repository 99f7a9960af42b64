//! The phase of a connection, and the time limit of that phase.
//!
//! [`Watched`] wraps the TCP socket, below TLS, so that only bytes that the peer sends or takes count.
//! It updates an [`Activity`], which the connection's task updates too when a request reaches the
//! service and when the response is made. All of that happens inside one task: the atomics share the
//! cell and order nothing, and a request costs no lock and no timer. The task keeps a single timer and
//! asks [`Activity::verdict`] when to check again.
//!
//! ```text
//! Handshake --begin--> Fresh --byte--> Head --service called--> Service --response made--> Responding
//!                                       ^ ^                        ^                           |
//!                                       | `--byte-- Idle <---------|---------------------------| flushed
//!                                       |             `-- called --'                           |
//!                                       `------------------------------ flushed, bytes ahead --'
//! ```
//!
//! | phase | means | ends the connection after |
//! | --- | --- | --- |
//! | Handshake | TLS is not up | (limited by its caller) |
//! | Fresh | no byte of a first request | 5 s from the handshake's end, or `header_timeout` if that is shorter |
//! | Head | part of a head has come | `header_timeout` from its first byte; from Fresh, that clock goes on |
//! | Service | the service has the request | never: the service has its own limits |
//! | Responding | a response is being written | (see below) |
//! | Idle | all answered, nothing sent since | `idle_timeout` from the flush of the response |
//!
//! In every phase, a write that the socket refuses starts a second clock, stopped by the next
//! byte it takes; while it runs, `write_timeout` is the only limit, with one more for slow readers: from
//! the first refused write of a response on, the peer has `write_timeout` and a second for each 64 KiB
//! that it takes. A response that is not flushed always has a refused write, so Responding needs no
//! limit of its own.
//!
//! A response is over once its body has ended and the socket is flushed: hyper also flushes between the
//! chunks of a body.
//!
//! Pipelining: hyper reads ahead at most one buffer. A request that is already complete there
//! goes from Idle to Service within one poll. Bytes that arrive while a response is written make
//! the next phase Head. The start of a head that came in the same packet as the request before
//! it looks like Idle until another byte comes; hyper's own header timer (see `connection.rs`)
//! bounds idleness and head together, so this gains a client nothing.
//!
//! Draining ([`Activity::drain`]) shortens the silent phases only: a connection with nothing
//! under way gets a short grace, because a request may already be in the socket or on its way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::ConnectionLimits;

/// How long a new connection may take for the first byte of a request: it belongs to a stranger.
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// The bytes of a response that a peer must take in a second, on the whole, once it does not take all that
/// the socket has room for.
const LEAST_RATE: u64 = 64 * 1024;

/// How long a draining server waits for the first request of a connection it has accepted: the
/// client has just connected and is about to speak.
const FRESH_GRACE: Duration = Duration::from_secs(1);

/// How long a draining server waits for another request of a connection it has served.
const IDLE_GRACE: Duration = Duration::from_millis(100);

const HANDSHAKE: u8 = 0;
const FRESH: u8 = 1;
const HEAD: u8 = 2;
const SERVICE: u8 = 3;
const RESPONDING: u8 = 4;
const IDLE: u8 = 5;

/// No write is waiting.
const FLOWING: u64 = 0;

/// The state of one connection, shared by its socket, its service calls and its task.
pub(super) struct Activity {
    epoch: Instant,
    phase: AtomicU8,
    /// When the phase's clock started, in microseconds since `epoch`.
    since: AtomicU64,
    /// When the socket first refused bytes, in microseconds since `epoch`, at least 1.
    stalled: AtomicU64,
    /// When the socket first refused bytes of this response, in microseconds since `epoch`, at least 1.
    pressed: AtomicU64,
    /// The bytes that it has taken since then.
    taken: AtomicU64,
    /// The body of the response has not ended.
    sending: AtomicBool,
    /// Bytes came while a response was being written.
    ahead: AtomicBool,
    /// When draining began, in microseconds since `epoch`, at least 1; 0 before that.
    draining: AtomicU64,
}

/// What the clocks of a connection require.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No limit applies now.
    Unlimited,
    /// No limit is exceeded; ask again at this time.
    Until(Instant),
    /// The connection is idle for too long: close it.
    Quiet(&'static str),
    /// A request or response takes too long: cut the connection.
    Exceeded(&'static str),
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            phase: AtomicU8::new(HANDSHAKE),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(FLOWING),
            pressed: AtomicU64::new(FLOWING),
            taken: AtomicU64::new(0),
            sending: AtomicBool::new(false),
            ahead: AtomicBool::new(false),
            draining: AtomicU64::new(0),
        }
    }

    /// Marks the end of the handshake: a request may come.
    pub(super) fn begin(&self) {
        self.enter(FRESH);
    }

    /// Marks a request as handed to the service, until the guard is dropped.
    pub(super) fn call(self: &Arc<Self>) -> ServiceCall {
        self.ahead.store(false, Relaxed);
        self.pressed.store(FLOWING, Relaxed);
        self.phase.store(SERVICE, Relaxed);
        ServiceCall(Arc::clone(self))
    }

    /// Marks the connection as draining, because the server stops.
    pub(super) fn drain(&self) {
        self.draining.store(self.now().max(1), Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed) != 0
    }

    pub(super) fn verdict(&self, limits: &ConnectionLimits, now: Instant) -> Verdict {
        let stalled = self.stalled.load(Relaxed);
        if stalled != FLOWING {
            let deadline = self.at(stalled, limits.write_timeout);
            let least = self.least_rate(limits).filter(|least| *least < deadline);
            return match least {
                Some(least) if now < least => Verdict::Until(least),
                Some(_) => Verdict::Exceeded("the client reads the response too slowly"),
                None if now < deadline => Verdict::Until(deadline),
                None => Verdict::Exceeded("the client does not read the response"),
            };
        }
        let since = self.since.load(Relaxed);
        let (deadline, over) = match self.phase.load(Relaxed) {
            FRESH => (
                self.graced(
                    self.at(since, limits.header_timeout.min(FIRST_BYTE)),
                    since,
                    FRESH_GRACE,
                ),
                Verdict::Quiet("no request arrived"),
            ),
            IDLE => (
                self.graced(self.at(since, limits.idle_timeout), since, IDLE_GRACE),
                Verdict::Quiet("no further request arrived"),
            ),
            HEAD => (
                self.at(since, limits.header_timeout),
                Verdict::Exceeded("the head of the request is incomplete"),
            ),
            _ => return Verdict::Unlimited,
        };
        if now < deadline { Verdict::Until(deadline) } else { over }
    }

    /// The deadline of a silent phase; when draining, at most `grace` from there or from `since`.
    fn graced(&self, deadline: Instant, since: u64, grace: Duration) -> Instant {
        match self.draining.load(Relaxed) {
            0 => deadline,
            draining => deadline.min(self.at(draining.max(since), grace)),
        }
    }

    /// By when the peer must take more of a response that the socket has refused.
    fn least_rate(&self, limits: &ConnectionLimits) -> Option<Instant> {
        let pressed = self.pressed.load(Relaxed);
        let taken = self.taken.load(Relaxed);
        let earned = Duration::from_micros(taken.saturating_mul(1_000_000) / LEAST_RATE);
        (pressed != FLOWING).then(|| self.at(pressed, limits.write_timeout + earned))
    }

    fn received(&self) {
        match self.phase.load(Relaxed) {
            FRESH => self.phase.store(HEAD, Relaxed),
            IDLE => self.enter(HEAD),
            RESPONDING => self.ahead.store(true, Relaxed),
            _ => {}
        }
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Pending => {
                if self.pressed.load(Relaxed) == FLOWING {
                    self.pressed.store(self.now().max(1), Relaxed);
                    self.taken.store(0, Relaxed);
                }
                if self.stalled.load(Relaxed) == FLOWING {
                    self.stalled.store(self.now().max(1), Relaxed);
                }
            }
            Poll::Ready(outcome) => {
                self.stalled.store(FLOWING, Relaxed);
                if self.pressed.load(Relaxed) != FLOWING {
                    let bytes = *outcome.as_ref().unwrap_or(&0) as u64;
                    self.taken.fetch_add(bytes, Relaxed);
                }
            }
        }
    }

    /// The body has nothing to send at the moment. If the peer has taken all before, it is not slow.
    fn has_no_more(&self) {
        if self.stalled.load(Relaxed) == FLOWING {
            self.pressed.store(FLOWING, Relaxed);
        }
    }

    /// hyper flushes the socket once it has nothing left to write, and between the chunks of a body.
    fn flushed(&self) {
        if self.phase.load(Relaxed) == RESPONDING && !self.sending.load(Relaxed) {
            self.pressed.store(FLOWING, Relaxed);
            self.enter(if self.ahead.load(Relaxed) { HEAD } else { IDLE });
        }
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Relaxed);
        self.phase.store(phase, Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn at(&self, micros: u64, later: Duration) -> Instant {
        self.epoch + Duration::from_micros(micros) + later
    }
}

/// A request that the service is answering, until the body of the response has ended.
pub(super) struct ServiceCall(Arc<Activity>);

/// The body of a response that is being sent.
pub(super) struct ActiveBody<B> {
    body: B,
    call: ServiceCall,
}

impl ServiceCall {
    /// Whether the response must be the connection's last.
    pub(super) fn is_last(&self) -> bool {
        self.0.is_draining()
    }

    /// Marks the response as made.
    pub(super) fn respond<B>(self, body: B) -> ActiveBody<B> {
        self.0.sending.store(true, Relaxed);
        self.0.phase.store(RESPONDING, Relaxed);
        ActiveBody { body, call: self }
    }
}

impl Drop for ServiceCall {
    fn drop(&mut self) {
        self.0.sending.store(false, Relaxed);
        self.0.phase.store(RESPONDING, Relaxed);
    }
}

impl<B: Body + Unpin> Body for ActiveBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending() {
            this.call.0.has_no_more();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that records what passes through it.
pub(super) struct Watched<T> {
    inner: T,
    activity: Arc<Activity>,
}

impl<T> Watched<T> {
    pub(super) fn new(inner: T, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.activity.received();
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.activity.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.activity.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_flush(cx);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            this.activity.flushed();
        }
        outcome
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
