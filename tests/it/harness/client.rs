//! A SCIM client: verbs in, status and JSON out.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

/// A client; a clone shares its connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; `null` if there is none.
    pub(crate) body: Value,
}

impl Client {
    /// A client that trusts this certificate alone.
    pub(crate) fn new(certificate: &Path, port: u16) -> Self {
        let pem = fs::read(certificate).unwrap();
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&pem).unwrap()]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls =
            TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider);
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_idle_connections_per_host(64)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Self { agent, base: format!("https://127.0.0.1:{port}"), headers: Vec::new() }
    }

    /// The same, with a bearer token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The same, with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(body.to_string().as_bytes()))
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, Some(body.to_string().as_bytes()))
    }

    /// The status and the text of an answer that is no JSON.
    pub(crate) fn get_text(&self, path: &str) -> (u16, String) {
        let mut request = Request::builder().method("GET").uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = self.agent.run(request.body(SendBody::none()).unwrap()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// PATCH with these operations.
    pub(crate) fn patch(&self, path: &str, operations: &Value) -> Reply {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        });
        self.send("PATCH", path, Some(body.to_string().as_bytes()))
    }

    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None)
    }

    /// Any method with any body; `path` is below the SCIM base unless it begins with `//`.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&[u8]>) -> Reply {
        self.try_send(method, path, body).unwrap()
    }

    /// The same, when the connection may break.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Reply, ureq::Error> {
        let uri = match path.strip_prefix("//") {
            Some(rest) => format!("{}/{rest}", self.base),
            None => format!("{}/scim/v2{path}", self.base),
        };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let typed = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if body.is_some() && !typed {
            request = request.header("Content-Type", "application/scim+json");
        }
        let send_body = match body {
            Some(mut bytes) => {
                request = request.header("Content-Length", bytes.len().to_string());
                return self.run(request.body(SendBody::from_reader(&mut bytes))?);
            }
            None => SendBody::none(),
        };
        self.run(request.body(send_body)?)
    }

    /// GET of a body that is read as it comes; `path` is absolute.
    pub(crate) fn open(&self, path: &str) -> (u16, impl std::io::Read + use<>) {
        let mut request = Request::builder().method("GET").uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = self.agent.run(request.body(SendBody::none()).unwrap()).unwrap();
        (response.status().as_u16(), response.into_body().into_reader())
    }

    fn run(&self, request: Request<SendBody<'_>>) -> Result<Reply, ureq::Error> {
        let mut response = self.agent.run(request)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.body_mut().with_config().limit(1 << 30).read_to_string()?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
        };
        Ok(Reply { status, headers, body })
    }
}

impl Reply {
    /// Insists on a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// A member of the body that must be a string.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| {
            panic!("no string at {pointer} in {}", self.body);
        })
    }

    /// A header that must be there.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    /// Insists that this is a SCIM error with that status and keyword; its detail.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, scim_type: Option<&str>) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        let schema = self.body["schemas"][0].as_str();
        assert_eq!(schema, Some("urn:ietf:params:scim:api:messages:2.0:Error"), "{}", self.body);
        assert_eq!(self.body["status"].as_str(), Some(status.to_string().as_str()));
        assert_eq!(self.body["scimType"].as_str(), scim_type, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/scim+json");
        let detail = self.text("/detail");
        assert!(detail.len() > 10, "a sentence, not {detail:?}");
        detail
    }
}
