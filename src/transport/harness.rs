//! A server over a real socket, and what its clients do.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connection::ConnectionContext;
use super::listener::Listener;
use super::permits::ConnectionPermits;
use super::{
    ConnectionLimits, ConnectionStats, Drained, ListenerConfig, Peer, Service, TlsConfig,
    self_signed,
};

/// What `/big` answers: more than two socket buffers hold.
pub(crate) const BIG: usize = 32 * 1024 * 1024;

pub(crate) fn limits() -> ConnectionLimits {
    ConnectionLimits {
        max_connections: 10,
        max_connections_per_address: 10,
        trusted_proxies: crate::connection::AddressSet::default(),
        handshake_timeout: Duration::from_secs(10),
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(10),
        max_header_bytes: 16 * 1024,
    }
}

/// Answers by path: `/sleep` after 300 ms, `/big` with many bytes, `/panic` not at all. A request is
/// authenticated if its path is not `/stranger`.
#[derive(Default)]
pub(crate) struct Paths(Arc<ConnectionStats>);

impl Service for Paths {
    type Body = Full<Bytes>;

    fn stats(&self) -> &Arc<ConnectionStats> {
        &self.0
    }

    async fn call(&self, peer: &Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
        assert!(peer.address().is_loopback() && peer.address().is_ipv4());
        if request.uri().path() != "/stranger" {
            peer.authenticated();
        }
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
    permits: Arc<ConnectionPermits>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start(limits: ConnectionLimits, tls: Option<TlsConfig>) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), limits, tls)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        limits: ConnectionLimits,
        tls: Option<TlsConfig>,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let service = Arc::new(Paths::default());
        let permits = ConnectionPermits::new(Arc::clone(service.stats()));
        let config = Arc::new(ArcSwap::from_pointee(ListenerConfig { tls, limits }));
        let context = Arc::new(ConnectionContext { config, service });
        let server = Listener::new(Arc::clone(&permits), context);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { address, permits, stop, task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn stop(self) -> Drained {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }

    /// Waits until no connection holds a permit.
    pub(crate) async fn empty(&self) {
        let emptied = async {
            while self.permits.held() != (0, 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(8), emptied).await.expect("all permits are given back");
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

/// A folder that goes away with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("scimd-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The present time, as the file system knows it.
    pub(crate) fn now(&self) -> i64 {
        let modified = fs::metadata(&self.0).unwrap().modified().unwrap();
        modified.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
    }

    pub(crate) fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key, created) =
            self_signed::ensure(&self.0.join(name), &[], self.now()).unwrap();
        assert!(created);
        (cert, key)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a program that succeeds prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
