//! One connection, from the handshake to the last byte.
//!
//! hyper parses and frames, and answers what it cannot parse with a bare 400, 414 or 431. This file
//! gives it a socket with time limits (`activity`), passes its requests to the service, and closes
//! properly: after the last response it reads and discards what the peer still sends, because closing a
//! socket with unread bytes resets it, and a reset can overtake the response.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::debug;

use super::activity::{Activity, Verdict, Watched};
use super::{ConnectionLimits, ListenerConfig, Peer, Service};

/// The smallest buffer that hyper accepts.
const MIN_BUFFER_BYTES: usize = 8192;

/// How long, and how many bytes, the server still reads after the last response.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// What all connections of a listener share.
pub(super) struct ConnectionContext<S> {
    /// A connection loads the configuration once, when it is accepted.
    pub(super) config: Arc<ArcSwap<ListenerConfig>>,
    pub(super) service: Arc<S>,
}

/// The answer to a client that speaks plain HTTP where TLS is spoken.
const SPEAK_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
                         Content-Length: 48\r\n\r\nThis port expects HTTPS: use a URL of https://.\n";

/// A stream of bytes to a client or its proxy.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Waits for the first byte and leaves it unread; `None` if it can't be known before it is read.
    fn first_byte(&self) -> impl Future<Output = Option<u8>> + Send;
}

impl Socket for TcpStream {
    async fn first_byte(&self) -> Option<u8> {
        let mut first = [0];
        let peeked = self.peek(&mut first).await;
        peeked.is_ok_and(|bytes| bytes > 0).then_some(first[0])
    }
}

impl Socket for UnixStream {
    async fn first_byte(&self) -> Option<u8> {
        None
    }
}

/// Serves one accepted socket until it is closed; `stopping` turns true when the server stops.
pub(super) async fn run<S: Service>(
    stream: impl Socket,
    mut client: Peer,
    context: Arc<ConnectionContext<S>>,
    stopping: watch::Receiver<bool>,
) {
    let (activity, peer) = (Arc::new(Activity::new()), client.address());
    let config = context.config.load_full();
    let (limits, service) = (&config.limits, &context.service);
    let begun = Instant::now();
    if config.tls.is_some()
        && let Ok(Some(b'A'..=b'Z')) = timeout(limits.handshake_timeout, stream.first_byte()).await
    {
        // A record of TLS begins with another byte, a request of HTTP with the name of its method.
        context.service.stats().handshakes_failed.add_one();
        debug!(%peer, "plain HTTP where TLS is spoken");
        return refuse_plain(stream).await;
    }
    let socket = Watched::new(stream, Arc::clone(&activity));
    let Some(tls) = &config.tls else {
        activity.begin();
        if let Some(socket) = converse(socket, &client, limits, service, &activity, stopping).await
        {
            linger(socket.into_inner()).await;
        }
        return;
    };
    let deadline = begun + limits.handshake_timeout;
    let handshake = timeout_at(deadline, tls.acceptor().accept(socket));
    let socket = match handshake.await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => {
            context.service.stats().handshakes_failed.add_one();
            return debug!(%peer, %error, "TLS handshake failed");
        }
        Err(_) => {
            context.service.stats().handshakes_too_slow.add_one();
            return debug!(%peer, "TLS handshake took too long");
        }
    };
    let presented = socket.get_ref().1.peer_certificates();
    client.presents(presented.unwrap_or_default(), Arc::clone(&context.config));
    activity.begin();
    if let Some(socket) = converse(socket, &client, limits, service, &activity, stopping).await {
        linger(socket.into_inner().0.into_inner()).await;
    }
}

/// Tells a client that speaks plain HTTP to use HTTPS.
async fn refuse_plain(mut stream: impl Socket) {
    let answer = async {
        stream.write_all(SPEAK_TLS.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Ok(Ok(())) = timeout(LINGER, answer).await {
        linger(stream).await;
    }
}

/// Exchanges requests and responses. Returns the socket if its peer may still be sending.
async fn converse<S: Service, IO: AsyncRead + AsyncWrite + Unpin>(
    socket: IO,
    client: &Peer,
    limits: &ConnectionLimits,
    service: &Arc<S>,
    activity: &Arc<Activity>,
    mut stopping: watch::Receiver<bool>,
) -> Option<IO> {
    let peer = client.address();
    let handler = service_fn(|request| {
        let call = activity.call();
        async move {
            let mut response = service.call(client, request).await;
            if call.is_last() || client.must_leave() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| call.respond(body)))
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
        End::Finished(Ok(())) => {
            return Some(connection.into_parts().io.into_inner());
        }
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
async fn linger(mut stream: impl AsyncRead + Unpin) {
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::super::harness::{BIG, Running, answer, ask, limits, rest};
    use super::super::self_signed;
    use super::super::tls::{TlsConfig, load};
    use super::super::{ClientCas, Drained};
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    /// A server's configuration and a client's that trusts it alone and offers `protocols`.
    fn tls(name: &str, protocols: &[&str]) -> (TlsConfig, TlsConnector) {
        let dir = std::env::temp_dir().join(format!("scimd-{name}-{}", std::process::id()));
        let now = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let (cert, key, _) = self_signed::ensure(&dir, &[], now).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&cert).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let server = load(&cert, &key, ClientCas::default()).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        (server, TlsConnector::from(Arc::new(client)))
    }

    async fn secure(server: &Running, connector: &TlsConnector) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        connector.connect(name, server.connect().await).await.unwrap()
    }

    #[tokio::test]
    async fn requests_are_answered_with_and_without_tls() {
        let (config, connector) = tls("answers", &["h2", "http/1.1"]);
        let server = Running::start(limits(), Some(config)).await;
        let mut stream = secure(&server, &connector).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(ask(&mut stream, "/").await.ends_with("ok"));
        assert!(ask(&mut stream, "/sleep").await.ends_with("slept"));
        assert_eq!(server.stop().await, Drained::Complete);

        let server = Running::start(limits(), None).await;
        let mut stream = server.connect().await;
        assert!(ask(&mut stream, "/").await.ends_with("ok"));
        assert!(ask(&mut stream, "/sleep").await.ends_with("slept"));
    }

    /// On one thread, the server first runs when the test first waits: it is stopped by then, so
    /// its clients are all in the kernel's queue.
    #[tokio::test]
    async fn stopping_answers_what_waits_in_the_queue() {
        let (config, connector) = tls("queue", &[]);
        for tls in [None, Some(config)] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            for result in [listener.set_nonblocking(true), stream.set_nonblocking(true)] {
                result.unwrap();
            }
            let mut stream = TcpStream::from_std(stream).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let secure = tls.is_some();
            let server = Running::start_on(listener, limits(), tls);
            let client = async {
                if !secure {
                    return ask(&mut stream, "/sleep").await;
                }
                let name = ServerName::try_from("127.0.0.1").unwrap();
                ask(&mut connector.connect(name, stream).await.unwrap(), "/sleep").await
            };
            let (drained, text) = tokio::join!(server.stop(), client);
            assert!(text.ends_with("slept") && text.contains("connection: close"), "{text}");
            assert_eq!(drained, Drained::Complete);
        }
    }

    #[tokio::test]
    async fn a_client_that_offers_only_h2_is_refused() {
        let (config, connector) = tls("h2", &["h2"]);
        let server = Running::start(limits(), Some(config)).await;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        assert!(connector.connect(name, server.connect().await).await.is_err());
    }

    #[tokio::test]
    async fn a_handshake_has_its_time() {
        let limits = ConnectionLimits { handshake_timeout: SHORT, ..limits() };
        let server = Running::start(limits, Some(tls("handshake", &[]).0)).await;
        let start = Instant::now();
        assert_eq!(rest(&mut server.connect().await).await, 0);
        assert!(start.elapsed() >= SHORT);
        server.empty().await;
    }

    #[tokio::test]
    async fn a_head_has_its_time_however_it_trickles() {
        let limits = ConnectionLimits { header_timeout: SHORT, ..limits() };
        let (config, connector) = tls("trickle", &[]);
        let server = Running::start(limits.clone(), Some(config)).await;
        let start = Instant::now();
        assert_eq!(rest(&mut secure(&server, &connector).await).await, 0, "not even a first byte");
        assert!(start.elapsed() >= SHORT);

        let server = Running::start(limits, None).await;
        let mut stream = server.connect().await;
        // The service may take longer than a head may, and so may silence.
        assert!(ask(&mut stream, "/sleep").await.ends_with("slept"));
        tokio::time::sleep(SHORT * 2).await;
        assert!(ask(&mut stream, "/").await.ends_with("ok"));
        let (mut read, mut write) = stream.into_split();
        let trickle = tokio::spawn(async move {
            while write.write_all(b"G").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
        let start = Instant::now();
        assert_eq!(rest(&mut read).await, 0);
        assert!(start.elapsed() >= SHORT * 9 / 10);
        server.empty().await;
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed() {
        let limits = ConnectionLimits { idle_timeout: SHORT, ..limits() };
        let (config, connector) = tls("idle", &[]);
        let server = Running::start(limits, Some(config)).await;
        let mut stream = secure(&server, &connector).await;
        assert!(ask(&mut stream, "/sleep").await.ends_with("slept"));
        let start = Instant::now();
        let end = stream.read_u8().await.unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(start.elapsed() >= SHORT * 9 / 10);
    }

    #[tokio::test]
    async fn a_reader_that_stops_is_cut_and_a_slow_one_is_served() {
        let limits =
            ConnectionLimits { write_timeout: SHORT * 10, idle_timeout: SHORT, ..limits() };
        let (config, connector) = tls("reader", &[]);
        for connector in [None, Some(connector)] {
            let config = connector.is_some().then(|| config.clone());
            let server = Running::start(limits.clone(), config).await;
            let request = b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n";
            match connector {
                None => {
                    let mut slow = server.connect().await;
                    slow.write_all(request).await.unwrap();
                    let mut part = vec![0; BIG / 8];
                    for _ in 0..8 {
                        tokio::time::sleep(SHORT / 2).await;
                        slow.read_exact(&mut part).await.unwrap();
                    }
                    let mut stuck = server.connect().await;
                    stuck.write_all(request).await.unwrap();
                    stuck.read_u8().await.unwrap();
                    drop(slow);
                    server.empty().await;
                    assert!(rest(&mut stuck).await < BIG);
                }
                Some(connector) => {
                    let mut stuck = secure(&server, &connector).await;
                    stuck.write_all(request).await.unwrap();
                    stuck.flush().await.unwrap();
                    stuck.read_u8().await.unwrap();
                    server.empty().await;
                    assert!(rest(&mut stuck).await < BIG);
                }
            }
        }
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_order() {
        let limits =
            ConnectionLimits { header_timeout: SHORT, idle_timeout: SHORT * 5, ..limits() };
        let server = Running::start(limits, None).await;
        let mut stream = server.connect().await;
        let one = "GET /sleep HTTP/1.1\r\nhost: x\r\n\r\n";
        let two = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(format!("{one}{two}GET / HT").as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.ends_with("slept"));
        assert!(answer(&mut stream).await.ends_with("ok"));
        stream.write_all(b"TP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.ends_with("ok"));
        tokio::time::sleep(SHORT * 2).await;
        assert!(ask(&mut stream, "/").await.ends_with("ok"), "idle, not in a head");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_or_malformed_gets_an_answer_and_a_close() {
        let server = Running::start(limits(), None).await;
        let frame = "GET / HTTP/1.1\r\nhost: x\r\nx: \r\n\r\n".len();
        let max = limits().max_header_bytes;
        for (length, status) in [(max, "200"), (max + 1, "431"), (50 * max, "431")] {
            let filler = "x".repeat(length - frame);
            let request = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {filler}\r\n\r\n");
            let mut stream = server.connect().await;
            // What follows the answer is still taken: no reset can overtake it.
            for part in request.as_bytes().chunks(2 * max) {
                stream.write_all(part).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let text = answer(&mut stream).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{length}: {text}");
        }
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nbad header\r\n\r\n").await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 400") && text.contains("connection: close"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "no body: {text}");
        assert_eq!(rest(&mut stream).await, 0);
        drop(stream);
        server.empty().await;
    }
}
