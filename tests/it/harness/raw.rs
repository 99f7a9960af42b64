//! A client that says exactly the bytes it is given, for what no proper client sends.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::Server;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client presents: certificates, leaf first, and the key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// One TLS connection at a time.
pub(crate) struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
    config: Arc<ClientConfig>,
    /// The last answer said that the connection ends with it.
    is_over: bool,
    /// What was read and belongs to the next answer.
    ahead: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) status: u16,
    /// Status line and headers, names in lower case, without the date and the request's id.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    /// Connects and shakes hands.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::try_connect(server).unwrap()
    }

    /// The same, when the server may not want the connection.
    pub(crate) fn try_connect(server: &Server) -> io::Result<Self> {
        Self::over(server, TcpStream::connect(("127.0.0.1", server.port()))?)
    }

    /// Connects, and has a request authenticated, so that the connection stays open.
    pub(crate) fn known(server: &Server) -> Self {
        let mut raw = Self::connect(server);
        let bearer = format!("Bearer {}", server.token());
        let headers = [("Authorization", bearer.as_str()), ("X-Request-Origin", "localhost")];
        assert_eq!(raw.ask("GET", "/scim/v2/Users?count=0", &headers).status, 200);
        raw
    }

    /// Connects and shakes hands with a certificate and its key.
    pub(crate) fn connect_as(server: &Server, identity: &Identity) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        Self::over_as(server, socket, Some(identity)).unwrap()
    }

    /// Shakes hands over a connection that stands.
    pub(crate) fn over(server: &Server, socket: TcpStream) -> io::Result<Self> {
        Self::over_as(server, socket, None)
    }

    fn over_as(
        server: &Server,
        socket: TcpStream,
        identity: Option<&Identity>,
    ) -> io::Result<Self> {
        Self::shake_hands(client_config(server, identity), socket)
    }

    fn shake_hands(config: Arc<ClientConfig>, mut socket: TcpStream) -> io::Result<Self> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&config), name).unwrap();
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        while tls.is_handshaking() {
            uninterrupted(|| tls.complete_io(&mut socket))?;
        }
        let stream = StreamOwned::new(tls, socket);
        Ok(Self { stream, config, is_over: false, ahead: Vec::new() })
    }

    /// Sends bytes.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).unwrap();
    }

    /// The same, when the server may have closed.
    pub(crate) fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Sends a request without a body, and reads the answer; over another connection if the last answer
    /// ended the one before.
    pub(crate) fn ask<V: AsRef<[u8]>>(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, V)],
    ) -> RawReply {
        if self.is_over {
            let socket = TcpStream::connect(self.stream.sock.peer_addr().unwrap()).unwrap();
            *self = Self::shake_hands(Arc::clone(&self.config), socket).unwrap();
        }
        self.write(head(method, path, headers));
        self.read(method == "HEAD").unwrap()
    }

    /// Reads an answer.
    pub(crate) fn reply(&mut self) -> RawReply {
        self.read(false).unwrap()
    }

    /// Reads an answer; an error if the connection ends before it does.
    pub(crate) fn try_reply(&mut self) -> io::Result<RawReply> {
        self.read(false)
    }

    pub(crate) fn read(&mut self, to_head: bool) -> io::Result<RawReply> {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let text = String::from_utf8(self.ahead.drain(..end).collect()).unwrap();
        let kept = text.lines().filter(|line| {
            !line.is_empty() && !line.starts_with("date: ") && !line.starts_with("x-request-id: ")
        });
        let head = kept.collect::<Vec<_>>().join("\n");
        let reply = RawReply { status: text[9..12].parse().unwrap(), head, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |value| value.parse().unwrap());
        let length = if to_head { 0 } else { length };
        self.is_over = reply.header("connection") == Some("close");
        while self.ahead.len() < length {
            self.more()?;
        }
        Ok(RawReply { body: self.ahead.drain(..length).collect(), ..reply })
    }

    fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match uninterrupted(|| self.stream.read(&mut buffer))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.ahead.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }

    /// Waits for the server to close; what it still said.
    pub(crate) fn rest(&mut self) -> String {
        loop {
            match self.more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("it was not closed in {PATIENCE:?}")
                }
                Err(_) => return String::from_utf8_lossy(&self.ahead).into_owned(),
            }
        }
    }
}

impl RawReply {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Insists that this is a SCIM error; its detail.
    #[track_caller]
    pub(crate) fn detail(&self, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), Some("application/scim+json"), "{}", self.head);
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["status"], status.to_string());
        body["detail"].as_str().unwrap().to_owned()
    }
}

/// A TLS client that trusts the certificate of a server, and may present one of its own.
pub(crate) fn client_config(server: &Server, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(server.certificate()).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap(),
        None => config.with_no_client_auth(),
    };
    Arc::new(config)
}

/// The head of a request.
pub(crate) fn head<V: AsRef<[u8]>>(method: &str, path: &str, headers: &[(&str, V)]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Does again what a signal interrupted: also a process that is stopped and goes on is interrupted, in a wait
/// that has an end.
fn uninterrupted<T>(mut action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match action() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
