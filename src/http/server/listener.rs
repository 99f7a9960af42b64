//! Accepts connections, counts them, and stops.
//!
//! Stopping leaves nobody without an answer: connections that wait in the kernel's queue are
//! taken first, then the port is closed, then every connection finishes what it has begun.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, warn};

use super::super::log_summary::{self, LogSummary, Suppressed};
use super::connection::{self, Shared};
use super::{Counts, Drained, Limits, ListenerConfig, Service};
use crate::clock::Stopwatch;
use crate::event::Network;

/// How long accepting rests after an error, most often a lack of file descriptors.
const BACKOFF: Duration = Duration::from_millis(50);

/// How long an aborted connection may take to let go of its resources.
const ABORT: Duration = Duration::from_secs(1);

/// Serves until `stop` resolves, then answers every accepted request within the drain timeout. A
/// configuration that is stored meanwhile applies to connections accepted after that.
pub async fn serve<S: Service>(
    listener: TcpListener,
    config: Arc<ArcSwap<ListenerConfig>>,
    service: Arc<S>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let seats = Seats::new(Arc::clone(service.counts()));
    let shared = Arc::new(Shared { config, service });
    Listener::new(seats, shared).serve(listener, stop).await
}

/// What the log may have to report often.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The operating system gives out no connection.
    AcceptFailed,
    /// A connection was closed, for this reason.
    Refused(&'static str),
}

/// The accept loop's state.
struct Listener<S> {
    shared: Arc<Shared<S>>,
    seats: Arc<Seats>,
    connections: JoinSet<()>,
    stopping: watch::Sender<bool>,
    started: Stopwatch,
    summary: LogSummary<Kind>,
}

impl<S: Service> Listener<S> {
    fn new(seats: Arc<Seats>, shared: Arc<Shared<S>>) -> Self {
        Self {
            shared,
            seats,
            connections: JoinSet::new(),
            stopping: watch::Sender::new(false),
            started: Stopwatch::start(),
            summary: LogSummary::new(),
        }
    }

    async fn serve(mut self, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        let mut stop = std::pin::pin!(stop);
        let mut resume = None;
        let mut summary_due = tokio::time::interval(log_summary::CHECK_EVERY);
        loop {
            let accept = async {
                if let Some(resume) = resume {
                    sleep_until(resume).await;
                }
                listener.accept().await
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = self.connections.join_next() => report(ended),
                _ = summary_due.tick() => log(self.summary.due(self.started.elapsed())),
                accepted = accept => match accepted {
                    Ok((stream, peer)) => {
                        resume = None;
                        self.admit(stream, peer);
                    }
                    Err(error) => resume = self.accept_failed(&error),
                },
            }
        }
        self.take_waiting(listener);
        log(self.summary.rest(self.started.elapsed()));
        self.stopping.send_replace(true);
        self.drain().await
    }

    /// Gives a connection its task, or closes it when there is no seat.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        let config = self.shared.config.load();
        let seat = match self.seats.take(peer.into(), &config.limits) {
            Ok(seat) => seat,
            Err(why) => {
                debug!(%peer, "connection refused: {why}");
                if self.summary.note(Kind::Refused(why), self.started.elapsed()) {
                    warn!(%peer, "connections refused: {why}");
                }
                return;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "TCP_NODELAY not set");
        }
        let connection =
            connection::run(stream, peer, Arc::clone(&self.shared), self.stopping.subscribe());
        self.connections.spawn(async move {
            let _seat = seat;
            connection.await;
        });
    }

    /// When to accept again after an error.
    fn accept_failed(&mut self, error: &io::Error) -> Option<Instant> {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return None;
        }
        if self.summary.note(Kind::AcceptFailed, self.started.elapsed()) {
            error!(%error, "connections cannot be accepted");
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
            Err(error) => return warn!(%error, "waiting connections are not taken"),
        };
        let at_most = self.shared.config.load().limits.max_connections;
        for _ in 0..at_most {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let stream =
                        stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    match stream {
                        Ok(stream) => self.admit(stream, peer),
                        Err(error) => debug!(%peer, %error, "waiting connection not taken"),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return warn!(%error, "waiting connections are not taken"),
            }
        }
    }

    /// Waits for every connection to end, and cuts those that do not in time.
    async fn drain(mut self) -> Drained {
        let drain_timeout = self.shared.config.load().limits.drain_timeout;
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
                error!(count, seconds, "connections still cannot be accepted");
            }
            Some(Kind::Refused(why)) => warn!(count, seconds, "connections refused again: {why}"),
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

/// Who holds how many of the connections there may be.
struct Seats {
    taken: Mutex<Taken>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    /// Only addresses with a connection: an entry goes with its last one.
    by_address: HashMap<Network, usize>,
}

impl Seats {
    fn new(counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), counts })
    }

    /// A seat, or why there is none.
    fn take(self: &Arc<Self>, address: Network, limits: &Limits) -> Result<Seat, &'static str> {
        let mut taken = self.lock();
        if taken.total >= limits.max_connections {
            self.counts.refused_in_all.add_one();
            return Err("too many connections are open");
        }
        let held = taken.by_address.get(&address).copied().unwrap_or(0);
        if held >= limits.max_connections_per_address {
            self.counts.refused_by_address.add_one();
            return Err("too many connections from its address are open");
        }
        taken.by_address.insert(address, held + 1);
        taken.total += 1;
        self.counts.accepted.add_one();
        self.counts.open.add_one();
        Ok(Seat { seats: Arc::clone(self), address })
    }

    /// No step between lock and unlock can panic, so a poisoned count is still right.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection; given back when dropped, also by a panic or an abort.
struct Seat {
    seats: Arc<Seats>,
    address: Network,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.total = taken.total.saturating_sub(1);
        self.seats.counts.open.take_one();
        match taken.by_address.get_mut(&self.address) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod harness {
    //! A server over a real socket, and what its clients do.

    use std::net::IpAddr;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::{Request, Response, StatusCode};
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::super::TlsConfig;
    use super::*;

    /// What `/big` answers: more than two socket buffers hold.
    pub(crate) const BIG: usize = 32 * 1024 * 1024;

    pub(crate) fn limits() -> Limits {
        Limits {
            max_connections: 10,
            max_connections_per_address: 10,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
        }
    }

    /// Answers by path: `/sleep` after 300 ms, `/big` with many bytes, `/panic` not at all.
    #[derive(Default)]
    pub(crate) struct Paths(Arc<Counts>);

    impl Service for Paths {
        fn counts(&self) -> &Arc<Counts> {
            &self.0
        }

        fn unparsed(&self, status: StatusCode) -> (&'static str, Bytes) {
            ("text/plain", format!("not parsed: {status}").into())
        }

        async fn call(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
            assert!(peer.is_loopback() && peer.is_ipv4());
            let body = match request.uri().path() {
                "/sleep" => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    Bytes::from_static(b"slept")
                }
                "/big" => Bytes::from(vec![b'x'; BIG]),
                "/panic" => panic!("asked for"),
                _ => Bytes::from_static(b"ok"),
            };
            Response::new(Full::new(body))
        }
    }

    pub(crate) struct Running {
        pub(crate) address: SocketAddr,
        seats: Arc<Seats>,
        stop: oneshot::Sender<()>,
        task: JoinHandle<Drained>,
    }

    impl Running {
        pub(crate) async fn start(limits: Limits, tls: Option<TlsConfig>) -> Self {
            Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), limits, tls)
        }

        pub(crate) fn start_on(
            listener: TcpListener,
            limits: Limits,
            tls: Option<TlsConfig>,
        ) -> Self {
            let address = listener.local_addr().unwrap();
            let service = Arc::new(Paths::default());
            let seats = Seats::new(Arc::clone(service.counts()));
            let config = Arc::new(ArcSwap::from_pointee(ListenerConfig { tls, limits }));
            let shared = Arc::new(Shared { config, service });
            let server = Listener::new(Arc::clone(&seats), shared);
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(server.serve(listener, async {
                let _ = stopped.await;
            }));
            Self { address, seats, stop, task }
        }

        pub(crate) async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        pub(crate) async fn stop(self) -> Drained {
            let _ = self.stop.send(());
            self.task.await.unwrap()
        }

        /// Waits until no connection holds a seat.
        pub(crate) async fn empty(&self) {
            let emptied = async {
                while self.seats.lock().total > 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(8), emptied).await.expect("all seats are given back");
            assert!(self.seats.lock().by_address.is_empty());
        }
    }

    /// Sends a request and reads its answer; all answers but `/big` end in a word of letters.
    pub(crate) async fn ask(io: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        if io.write_all(request.as_bytes()).await.is_err() {
            return String::new();
        }
        answer(io).await
    }

    /// Reads one answer of a length known from its header; empty when the connection is closed.
    pub(crate) async fn answer(io: &mut (impl AsyncRead + Unpin)) -> String {
        let mut text = String::new();
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    return text;
                }
            }
            match io.read_u8().await {
                Ok(byte) => text.push(char::from(byte)),
                Err(_) => return String::new(),
            }
        }
    }

    /// Reads until the connection ends, in whatever way; how many bytes came.
    pub(crate) async fn rest(io: &mut (impl AsyncRead + Unpin)) -> usize {
        let mut bytes = Vec::new();
        let read = io.read_to_end(&mut bytes);
        let _ = timeout(Duration::from_secs(8), read).await.expect("the connection is closed");
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpSocket;

    use super::harness::{Running, answer, ask, limits, rest};
    use super::*;

    async fn connect_from(server: &Running, address: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(server.address).await.unwrap()
    }

    #[tokio::test]
    async fn limits_hold_at_their_boundary_and_seats_come_back() {
        let limits = Limits { max_connections: 3, max_connections_per_address: 2, ..limits() };
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

    #[test]
    fn addresses_of_one_subscriber_share_their_seats() {
        let limits = Limits { max_connections_per_address: 1, ..limits() };
        let seats = Seats::new(Arc::default());
        let take = |address: &str| {
            let address: std::net::IpAddr = address.parse().unwrap();
            seats.take(address.into(), &limits)
        };
        let first = take("2001:db8:1:2::1").ok();
        assert!(first.is_some() && take("2001:db8:1:2:ffff::1").is_err());
        let (next, v4) = (take("2001:db8:1:3::1").ok(), take("192.0.2.1").ok());
        assert!(next.is_some() && v4.is_some() && take("::ffff:192.0.2.1").is_err());
        assert_eq!(seats.counts.open.value(), 3);
        drop(first);
        assert!(take("2001:db8:1:2::2").is_ok());
        drop((next, v4));
        assert_eq!((seats.counts.open.value(), seats.counts.accepted.value()), (0, 4));
        assert_eq!(seats.counts.refused_by_address.value(), 2);
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
        let limits = Limits { drain_timeout: Duration::from_millis(50), ..limits() };
        let server = Running::start(limits, None).await;
        let mut busy = server.connect().await;
        busy.write_all(b"GET /sleep HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(server.stop().await, Drained::Cut(1));
        assert_eq!(rest(&mut busy).await, 0);
    }
}
