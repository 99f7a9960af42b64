//! A SCIM client over TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, SendBody};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client; a clone shares its connections.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    patience: Duration,
    base: String,
    token: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The body as JSON; `null` if there is none.
    pub(crate) body: Value,
}

impl Reply {
    /// Whether what was asked for was done.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A text of the body.
    pub(crate) fn text(&self, pointer: &str) -> Option<String> {
        self.body.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned)
    }

    /// The version that the body tells.
    pub(crate) fn version(&self) -> u64 {
        version(&self.body)
    }
}

/// The version in a resource's metadata; 0 if there is none.
pub(crate) fn version(resource: &Value) -> u64 {
    let tag = resource.pointer("/meta/version").and_then(Value::as_str).unwrap_or_default();
    let number = tag.trim_start_matches("W/").trim_matches('"').split('.').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Client {
    /// A client that trusts this certificate alone.
    pub(crate) fn new(certificate: &Path, port: u16, token: &str) -> Self {
        let pem = std::fs::read(certificate).expect("the certificate of the first boot");
        let certificate = Certificate::from_pem(&pem).expect("a certificate in PEM");
        let roots = RootCerts::new_with_certs(&[certificate]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider);
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_idle_connections_per_host(4)
            .build()
            .new_agent();
        let base = format!("https://127.0.0.1:{port}");
        Self { agent, patience: PATIENCE, base, token: token.to_owned() }
    }

    /// The same that waits no longer than this for an answer.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The same with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Asks; an error if no whole answer came.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        let (status, text) = self.exchange(method, &format!("/scim/v2{path}"), body)?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?
        };
        Ok(Reply { status, body })
    }

    /// Asks for a path outside of SCIM: the status and the body as it came.
    pub(crate) fn text(&self, path: &str) -> Result<(u16, String), String> {
        self.exchange("GET", path, None)
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, String), String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("X-Request-Origin", "localhost")
            .header("Content-Type", "application/scim+json");
        let sent = match body {
            Some(body) => self.send(request.body(body.to_string())),
            None => self.send(request.body(SendBody::none())),
        };
        let mut response = sent.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()
            .map_err(|error| error.to_string())?;
        Ok((status, text))
    }

    fn send<B: AsSendBody>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = self.agent.configure_request(request?);
        self.agent.run(request.timeout_global(Some(self.patience)).build())
    }

    /// Asks without a body.
    pub(crate) fn get(&self, path: &str) -> Result<Reply, String> {
        self.ask("GET", path, None)
    }

    /// Asks for what a filter matches.
    pub(crate) fn search(&self, endpoint: &str, filter: &str) -> Result<Reply, String> {
        let encoded: String = filter
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        self.get(&format!("/{endpoint}?count=1000&filter={encoded}"))
    }
}
