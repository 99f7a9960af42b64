//! Accepts connections, counts them, and stops.
//!
//! Stopping leaves nobody without an answer: connections that wait in the kernel's queue are
//! taken first, then the port is closed, then every connection finishes what it has begun.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, warn};

use super::connection::{self, Shared};
use super::{Drained, Limits, Service, TlsConfig};

/// How long accepting rests after an error, most often a lack of file descriptors.
const BACKOFF: Duration = Duration::from_millis(50);
const ACCEPT_ERRORS_LOGGED_EVERY: Duration = Duration::from_secs(1);
const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

/// How long an aborted connection may take to let go of its resources.
const ABORT: Duration = Duration::from_secs(1);

/// Serves until `stop` resolves, then answers every accepted request within the drain timeout.
pub async fn serve<S: Service>(
    listener: TcpListener,
    tls: Option<TlsConfig>,
    limits: Limits,
    service: Arc<S>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let seats = Seats::new(limits.max_connections, limits.max_connections_per_address);
    let shared = Arc::new(Shared { tls, limits, service });
    Door::new(seats, shared).serve(listener, stop).await
}

/// The accept loop's state.
struct Door<S> {
    shared: Arc<Shared<S>>,
    seats: Arc<Seats>,
    connections: JoinSet<()>,
    stopping: watch::Sender<bool>,
    errors: Throttle,
    refusals: Throttle,
}

impl<S: Service> Door<S> {
    fn new(seats: Arc<Seats>, shared: Arc<Shared<S>>) -> Self {
        Self {
            shared,
            seats,
            connections: JoinSet::new(),
            stopping: watch::Sender::new(false),
            errors: Throttle::new(ACCEPT_ERRORS_LOGGED_EVERY),
            refusals: Throttle::new(REFUSALS_LOGGED_EVERY),
        }
    }

    async fn serve(mut self, listener: TcpListener, stop: impl Future<Output = ()>) -> Drained {
        let mut stop = std::pin::pin!(stop);
        let mut resume = None;
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
        self.stopping.send_replace(true);
        self.drain().await
    }

    /// Gives a connection its task, or closes it when there is no seat.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let peer = peer.ip().to_canonical();
        let seat = match self.seats.take(peer) {
            Ok(seat) => seat,
            Err(why) => {
                debug!(%peer, "connection refused: {why}");
                if let Some(count) = self.refusals.note(Instant::now()) {
                    warn!(count, %peer, "connections refused, the last one because {why}");
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
        let now = Instant::now();
        if let Some(count) = self.errors.note(now) {
            error!(%error, count, "connections cannot be accepted");
        }
        Some(now + BACKOFF)
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
        for _ in 0..self.shared.limits.max_connections {
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
        let connections = &mut self.connections;
        if timeout(self.shared.limits.drain_timeout, finish(connections)).await.is_ok() {
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
    max: usize,
    max_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    /// Only addresses with a connection: an entry goes with its last one.
    by_address: HashMap<IpAddr, usize>,
}

impl Seats {
    fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self { max, max_per_address, taken: Mutex::default() })
    }

    /// A seat, or why there is none.
    fn take(self: &Arc<Self>, address: IpAddr) -> Result<Seat, &'static str> {
        let mut taken = self.lock();
        if taken.total >= self.max {
            return Err("too many connections are open");
        }
        let held = taken.by_address.get(&address).copied().unwrap_or(0);
        if held >= self.max_per_address {
            return Err("too many connections from its address are open");
        }
        taken.by_address.insert(address, held + 1);
        taken.total += 1;
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
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.total = taken.total.saturating_sub(1);
        match taken.by_address.get_mut(&self.address) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// Lets one log line through in a while, with the number of events since the last.
struct Throttle {
    every: Duration,
    last: Option<Instant>,
    count: u64,
}

impl Throttle {
    fn new(every: Duration) -> Self {
        Self { every, last: None, count: 0 }
    }

    fn note(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.last.is_some_and(|last| now.duration_since(last) < self.every) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}
