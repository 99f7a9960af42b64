//! Accepts connections until the server stops.
//!
//! Stopping answers every request that was sent: connections that wait in the kernel's queue are
//! accepted first, then the port is closed, then every connection finishes what it has begun.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, warn};

use super::connection::{self, ConnectionContext, Socket};
use super::local::LocalListener;
use super::permits::ConnectionPermits;
use super::{Drained, ListenerConfig, Peer, Service};
use crate::clock::Stopwatch;
use crate::logging::summary::{self, LogSummary, Suppressed};

/// How long accepting rests after an error, most often a lack of file descriptors.
const BACKOFF: Duration = Duration::from_millis(50);

/// How long an aborted connection may take to let go of its resources.
const ABORT: Duration = Duration::from_secs(1);

/// Serves a port, and clients of a proxy on a Unix socket, until `stop` resolves, then answers every accepted request within the drain timeout. A
/// configuration that is stored meanwhile applies to connections accepted after that.
pub async fn serve<S: Service>(
    listener: TcpListener,
    local: Option<LocalListener>,
    config: Arc<ArcSwap<ListenerConfig>>,
    service: Arc<S>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let permits = ConnectionPermits::new(Arc::clone(service.stats()));
    let context = Arc::new(ConnectionContext { config, service });
    Listener { local, ..Listener::new(permits, context) }.serve(listener, stop).await
}

/// What the log may have to report often.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The operating system gives out no connection.
    AcceptFailed,
    /// A connection was closed, for this reason.
    Refused(&'static str),
    /// A connection without an authenticated request was closed to admit another.
    Displaced,
}

/// The accept loop's state.
pub(super) struct Listener<S> {
    context: Arc<ConnectionContext<S>>,
    permits: Arc<ConnectionPermits>,
    local: Option<LocalListener>,
    connections: JoinSet<()>,
    stopping: watch::Sender<bool>,
    started: Stopwatch,
    summary: LogSummary<Kind>,
}

impl<S: Service> Listener<S> {
    pub(super) fn new(permits: Arc<ConnectionPermits>, context: Arc<ConnectionContext<S>>) -> Self {
        Self {
            context,
            permits,
            local: None,
            connections: JoinSet::new(),
            stopping: watch::Sender::new(false),
            started: Stopwatch::start(),
            summary: LogSummary::default(),
        }
    }

    pub(super) async fn serve(
        mut self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
    ) -> Drained {
        let mut stop = std::pin::pin!(stop);
        let (mut resume, mut resume_local) = (None, None);
        let mut summary_due = tokio::time::interval(summary::CHECK_EVERY);
        loop {
            let accept = async {
                if let Some(resume) = resume {
                    sleep_until(resume).await;
                }
                listener.accept().await
            };
            let (patience, most) = self.local_limits();
            let accept_local = accept_local(&mut self.local, resume_local, patience, most);
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = self.connections.join_next() => report(ended),
                _ = summary_due.tick() => log(self.summary.due(self.started.elapsed())),
                accepted = accept => match accepted {
                    Ok((stream, peer)) => {
                        resume = None;
                        self.admit_tcp(stream, peer);
                    }
                    Err(error) => resume = self.accept_failed(&error),
                },
                accepted = accept_local => match accepted {
                    Ok((stream, client)) => {
                        resume_local = None;
                        self.admit(stream, client);
                    }
                    Err(error) => resume_local = self.accept_failed(&error),
                },
            }
        }
        // A proxy connects again, to the next start.
        self.local = None;
        self.take_waiting(listener);
        log(self.summary.rest(self.started.elapsed()));
        self.stopping.send_replace(true);
        self.drain().await
    }

    /// How long a PROXY header may take, and how many may be waited for at once.
    fn local_limits(&self) -> (Duration, usize) {
        let config = self.context.config.load();
        (config.limits.handshake_timeout, config.limits.max_connections)
    }

    fn admit_tcp(&mut self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "can't set TCP_NODELAY");
        }
        self.admit(stream, peer.ip().to_canonical());
    }

    /// Gives a connection its task, or closes it when there is no permit.
    fn admit(&mut self, stream: impl Socket, peer: IpAddr) {
        let config = self.context.config.load();
        let permit = match self.permits.take(peer, &config.limits) {
            Ok(permit) => permit,
            Err(why) => {
                debug!(%peer, "connection denied: {why}");
                if self.summary.note(Kind::Refused(why), self.started.elapsed()) {
                    warn!(%peer, "connections denied: {why}");
                }
                return;
            }
        };
        if let Some(displaced) = permit.displaced() {
            debug!(%displaced, %peer, "connection closed to admit another");
            if self.summary.note(Kind::Displaced, self.started.elapsed()) {
                warn!(%displaced, "connections without an authenticated request closed to admit others");
            }
        }
        let (number, context) = (permit.number(), Arc::clone(&self.context));
        let client = Peer::new(peer, permit);
        let connection = connection::run(stream, client, context, self.stopping.subscribe());
        let abort = self.connections.spawn(connection);
        self.permits.closes_by(number, abort);
    }

    /// When to accept again after an error.
    fn accept_failed(&mut self, error: &io::Error) -> Option<Instant> {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return None;
        }
        if self.summary.note(Kind::AcceptFailed, self.started.elapsed()) {
            error!(%error, "can't accept connections");
        }
        Some(Instant::now() + BACKOFF)
    }

    /// Takes what waits in the kernel's queue, then closes the port.
    ///
    /// The queue is asked through the standard library, because tokio would only say what it has
    /// last heard about it. At most as many as may be open at once, so that a flood cannot keep
    /// the server from stopping.
    fn take_waiting(&mut self, listener: TcpListener) {
        let listener = match listener.into_std() {
            Ok(listener) => listener,
            Err(error) => return warn!(%error, "waiting connections are not accepted"),
        };
        let at_most = self.context.config.load().limits.max_connections;
        for _ in 0..at_most {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let stream =
                        stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    match stream {
                        Ok(stream) => self.admit_tcp(stream, peer),
                        Err(error) => debug!(%peer, %error, "waiting connection not accepted"),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return warn!(%error, "waiting connections are not accepted"),
            }
        }
    }

    /// Waits for every connection to end, and cuts those that do not in time.
    async fn drain(mut self) -> Drained {
        let drain_timeout = self.context.config.load().limits.drain_timeout;
        let connections = &mut self.connections;
        if timeout(drain_timeout, finish(connections)).await.is_ok() {
            return Drained::Complete;
        }
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
        let cut = connections.len();
        connections.abort_all();
        // A service that blocks its thread cannot be aborted; it must not hold up the stop.
        let _ = timeout(ABORT, finish(connections)).await;
        connections.detach_all();
        if cut == 0 { Drained::Complete } else { Drained::Cut(cut) }
    }
}

/// The next client of the Unix socket; waits for ever without one.
async fn accept_local(
    local: &mut Option<LocalListener>,
    resume: Option<Instant>,
    patience: Duration,
    most: usize,
) -> io::Result<(UnixStream, IpAddr)> {
    if let Some(resume) = resume {
        sleep_until(resume).await;
    }
    match local {
        Some(local) => local.accept(patience, most).await,
        None => std::future::pending().await,
    }
}

async fn finish(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// Logs what happened again since it was logged.
fn log(summaries: Vec<Suppressed<Kind>>) {
    for Suppressed { kind, count, within } in summaries {
        let seconds = within.as_secs();
        match kind {
            Some(Kind::AcceptFailed) => {
                error!(count, seconds, "still can't accept connections");
            }
            Some(Kind::Refused(why)) => {
                warn!(count, seconds, "connections denied (repeated): {why}");
            }
            Some(Kind::Displaced) => {
                warn!(count, seconds, "connections closed to admit others (repeated)");
            }
            None => {}
        }
    }
}

/// A panic ends its connection; it is worth a line, because it is a bug.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!("a connection was closed because its handler panicked");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpSocket;

    use super::super::ConnectionLimits;
    use super::super::harness::{Running, answer, ask, limits, rest};
    use super::*;

    async fn connect_from(server: &Running, address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(server.address).await.unwrap()
    }

    #[tokio::test]
    async fn limits_hold_at_their_boundary_and_permits_come_back() {
        let limits =
            ConnectionLimits { max_connections: 3, max_connections_per_address: 2, ..limits() };
        let server = Running::start(limits, None).await;
        let mut open = Vec::new();
        for (address, admitted) in [
            ([127, 0, 0, 1], true),
            ([127, 0, 0, 1], true),
            ([127, 0, 0, 1], false),
            ([127, 0, 0, 2], true),
            ([127, 0, 0, 3], false),
        ] {
            let mut stream = connect_from(&server, address).await;
            if admitted {
                assert!(ask(&mut stream, "/").await.ends_with("ok"));
                open.push(stream);
            } else {
                assert_eq!(rest(&mut stream).await, 0);
            }
        }
        drop(open);
        server.empty().await;
        assert!(ask(&mut server.connect().await, "/").await.ends_with("ok"));
        assert_eq!(server.stop().await, Drained::Complete);
    }

    #[tokio::test]
    async fn a_panic_costs_one_connection() {
        let server = Running::start(limits(), None).await;
        let mut other = server.connect().await;
        assert!(ask(&mut other, "/").await.ends_with("ok"));
        assert_eq!(ask(&mut server.connect().await, "/panic").await, "");
        assert!(ask(&mut other, "/").await.ends_with("ok"));
        drop(other);
        server.empty().await;
    }

    #[tokio::test]
    async fn stopping_answers_what_is_in_flight() {
        let server = Running::start(limits(), None).await;
        let address = server.address;
        let mut busy = server.connect().await;
        let mut quiet = server.connect().await;
        assert!(ask(&mut quiet, "/").await.ends_with("ok"));
        busy.write_all(b"GET /sleep HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (drained, text, quiet) =
            tokio::join!(server.stop(), answer(&mut busy), rest(&mut quiet));
        assert_eq!((drained, quiet), (Drained::Complete, 0));
        assert!(text.ends_with("slept") && text.contains("connection: close"), "{text}");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn draining_ends_in_time() {
        let limits = ConnectionLimits { drain_timeout: Duration::from_millis(50), ..limits() };
        let server = Running::start(limits, None).await;
        let mut busy = server.connect().await;
        busy.write_all(b"GET /sleep HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(server.stop().await, Drained::Cut(1));
        assert_eq!(rest(&mut busy).await, 0);
    }
}
