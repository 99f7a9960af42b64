//! One TLS connection that is kept, and one request at a time on it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whom to ask, and as whom.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    connector: TlsConnector,
    headers: HeaderMap,
    /// Whether each request has a connection of its own.
    pub connects_each_time: bool,
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
    /// The media type of a body.
    content_type: HeaderValue,
    /// Who asks, if not whom the target names.
    authorization: Option<HeaderValue>,
}

impl Ask {
    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::send(Method::GET, path, Bytes::new())
    }

    /// Any method with a body.
    pub fn send(method: Method, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_static("application/scim+json");
        Self { method, path: path.into(), body: body.into(), content_type, authorization: None }
    }

    /// A POST of a form.
    pub fn form(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self { content_type, ..Self::send(Method::POST, path, body) }
    }

    /// The same with that in the header `Authorization`.
    pub fn authorized(self, authorization: &str) -> Result<Self> {
        Ok(Self { authorization: Some(HeaderValue::from_str(authorization)?), ..self })
    }
}

/// An answer.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The body, which must be the JSON of a success.
    pub fn json(&self) -> Result<Value> {
        self.success()?;
        serde_json::from_slice(&self.body).context("an answer is not JSON")
    }

    /// An error unless this is a success.
    pub fn success(&self) -> Result<()> {
        let said = String::from_utf8_lossy(self.body.get(..500).unwrap_or(&self.body));
        ensure!(self.status.is_success(), "answered with {}: {said}", self.status);
        Ok(())
    }
}

impl Target {
    /// A server that shows this certificate, and the token that it wants.
    pub fn new(address: SocketAddr, certificate: &Path, token: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&address.to_string())?);
        let connector = TlsConnector::from(Arc::new(config));
        Self { address, connector, headers, connects_each_time: false }.with_token(token)
    }

    /// The same server for a client that opens a connection for each request, with a full handshake, or one that goes on
    /// with the session of an earlier one.
    pub fn connecting_each_time(&self, resumes: bool) -> Self {
        let mut config = ClientConfig::clone(self.connector.config());
        config.resumption = if resumes {
            rustls::client::Resumption::in_memory_sessions(256)
        } else {
            rustls::client::Resumption::disabled()
        };
        let connector = TlsConnector::from(Arc::new(config));
        Self { connector, connects_each_time: true, ..self.clone() }
    }

    /// The same server for a client with another token.
    pub fn with_token(&self, token: &str) -> Result<Self> {
        let mut target = self.clone();
        let token = HeaderValue::from_str(&format!("Bearer {token}"))?;
        target.headers.insert(AUTHORIZATION, token);
        Ok(target)
    }

    /// The same server for a client without a token.
    pub fn without_token(&self) -> Self {
        let mut target = self.clone();
        target.headers.remove(AUTHORIZATION);
        target
    }

    /// The same client for another server.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// The same client with more headers.
    pub fn with(&self, headers: &[(HeaderName, &str)]) -> Result<Self> {
        let mut target = self.clone();
        for (name, value) in headers {
            target.headers.insert(name.clone(), HeaderValue::from_str(value)?);
        }
        Ok(target)
    }
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    headers: HeaderMap,
}

impl Connection {
    /// Connects and shakes hands.
    pub async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(target.address.ip());
        let stream = target.connector.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, headers: target.headers.clone() })
    }

    /// Asks, and reads the answer to its end.
    pub async fn ask(&mut self, ask: Ask) -> Result<Reply> {
        let (parts, body) = self.begin(ask).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }

    /// Asks, and leaves the body of the answer to be read as it comes.
    pub async fn begin(&mut self, ask: Ask) -> Result<Response<Incoming>> {
        let has_body = !ask.body.is_empty();
        let mut request = Request::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask.path.parse()?;
        *request.headers_mut() = self.headers.clone();
        if has_body {
            request.headers_mut().insert(CONTENT_TYPE, ask.content_type);
        }
        if let Some(authorization) = ask.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}
