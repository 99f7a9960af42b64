//! One connection, from the handshake to the last byte.
//!
//! hyper parses and frames; this file gives it a socket with limits on it (`activity.rs`), hands
//! its requests to the service, and closes properly: after a response that ends a connection,
//! what the peer still sends is read and thrown away for a moment, because closing a socket with
//! unread bytes resets it, and a reset can overtake the response.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::activity::{Activity, Verdict, Watched};
use super::tls::TlsConfig;
use super::{Limits, Service};

/// The smallest buffer that hyper accepts.
const MIN_BUFFER_BYTES: usize = 8192;

/// How long, and for how many bytes, a closed connection's peer is listened to.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// What all connections of a server have in common.
pub(super) struct Shared<S> {
    pub(super) tls: Option<TlsConfig>,
    pub(super) limits: Limits,
    pub(super) service: Arc<S>,
}

/// Serves one accepted socket until it is closed; `stopping` turns true when the server stops.
pub(super) async fn run<S: Service>(
    stream: TcpStream,
    peer: IpAddr,
    shared: Arc<Shared<S>>,
    stopping: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::new());
    let socket = Watched::new(stream, Arc::clone(&activity));
    let Some(tls) = &shared.tls else {
        activity.begin();
        if let Some(socket) = converse(socket, peer, &shared, &activity, stopping).await {
            linger(socket.into_inner()).await;
        }
        return;
    };
    let handshake = timeout(shared.limits.handshake_timeout, tls.acceptor().accept(socket));
    let socket = match handshake.await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => return debug!(%peer, "TLS handshake took too long"),
    };
    activity.begin();
    if let Some(socket) = converse(socket, peer, &shared, &activity, stopping).await {
        linger(socket.into_inner().0.into_inner()).await;
    }
}

/// Exchanges requests and responses; gives the socket back when its peer may still be sending.
async fn converse<S: Service, IO: AsyncRead + AsyncWrite + Unpin>(
    socket: IO,
    peer: IpAddr,
    shared: &Shared<S>,
    activity: &Arc<Activity>,
    mut stopping: watch::Receiver<bool>,
) -> Option<IO> {
    let limits = &shared.limits;
    let handler = service_fn(|request| {
        let call = activity.call();
        async move {
            let mut response = shared.service.call(peer, request).await;
            if call.is_last() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's clock starts with the idle time, so it must leave room for both.
        .header_read_timeout(limits.idle_timeout + limits.header_timeout)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(MIN_BUFFER_BYTES))
        .keep_alive(true)
        .half_close(false)
        .serve_connection(TokioIo::new(socket), handler);

    let mut stop = pin!(async move {
        // An error means that the sender is gone, which is a stop as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    });
    let mut timer = pin!(sleep_until(Instant::now() + limits.header_timeout));
    let end = poll_fn(|cx| {
        if !activity.is_draining() && stop.as_mut().poll(cx).is_ready() {
            activity.drain();
        }
        if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(End::Finished(result));
        }
        loop {
            match activity.verdict(limits, Instant::now()) {
                Verdict::Unlimited => return Poll::Pending,
                Verdict::Quiet(why) => return Poll::Ready(End::Quiet(why)),
                Verdict::Exceeded(why) => return Poll::Ready(End::Exceeded(why)),
                Verdict::Until(deadline) => {
                    // A timer that is too early is left alone: it costs one look, not one
                    // change for each request.
                    if deadline < timer.deadline() || timer.is_elapsed() {
                        timer.as_mut().reset(deadline);
                    }
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await;

    let mut socket = match end {
        End::Finished(Ok(())) => return Some(connection.into_parts().io.into_inner()),
        End::Finished(Err(error)) => {
            debug!(%peer, %error, "connection failed");
            // hyper has answered what it could not parse.
            return error.is_parse().then(|| connection.into_parts().io.into_inner());
        }
        End::Exceeded(why) => {
            debug!(%peer, "connection cut: {why}");
            return None;
        }
        End::Quiet(why) => {
            debug!(%peer, "connection closed: {why}");
            connection.into_parts().io.into_inner()
        }
    };
    let _ = timeout(LINGER, socket.shutdown()).await;
    None
}

/// Why a conversation is over.
enum End {
    Finished(hyper::Result<()>),
    Quiet(&'static str),
    Exceeded(&'static str),
}

/// Reads until the peer closes its side too, within limits; our side is closed already.
async fn linger(mut stream: TcpStream) {
    let drain = async {
        let mut buffer = vec![0; MIN_BUFFER_BYTES];
        let mut total = 0;
        while total < LINGER_BYTES {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => total += read,
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
}
