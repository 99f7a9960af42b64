//! Fetches what other systems serve: over HTTPS, through the proxy of the environment, without following redirects.
//!
//! Doors share it: `proxy` is how they connect, and this file how a small document is read.

mod proxy;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

pub use proxy::{connect, proxy_port};

use crate::authorities;
use crate::text::with_causes;

/// The time for all of it.
const TIME: Duration = Duration::from_secs(5);
/// The size of what is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A request to another system.
pub struct FetchRequest<'a> {
    /// The `https` URL.
    pub url: &'a str,
    /// The types of answers that are wanted.
    pub accept: &'a str,
    /// A form to post, and the value of `Authorization`; `None` for GET.
    pub form: Option<(&'a str, Option<&'a str>)>,
    /// What is trusted; `None` for the authorities that this machine trusts.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Fetches the document at an `https` URL, of a type that `accept` lists.
///
/// # Errors
///
/// A sentence that says why there is none, for the log.
pub async fn get(url: &str, accept: &str) -> Result<Bytes, String> {
    let request = FetchRequest { url, accept, form: None, tls: None };
    match exchange(&request).await? {
        (200, body) => Ok(body),
        (status, _) => Err(format!("the answer is {status}, and redirects are not followed")),
    }
}

/// Sends a request; the status and the body of the answer, of at most 64 KiB, within 5 seconds.
///
/// # Errors
///
/// A sentence that says why there is none, for the log.
pub async fn exchange(request: &FetchRequest<'_>) -> Result<(u16, Bytes), String> {
    match tokio::time::timeout(TIME, try_exchange(request)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(format!("no answer within {} seconds", TIME.as_secs())),
    }
}

async fn try_exchange(request: &FetchRequest<'_>) -> Result<(u16, Bytes), String> {
    let uri: Uri = request.url.parse().map_err(|error| format!("not a URL: {error}"))?;
    if uri.scheme_str() != Some("https") {
        return Err("the URL does not begin with https://".to_owned());
    }
    let authority = uri.authority().ok_or("the URL has no host")?.as_str().to_owned();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|_| format!("\"{host}\" is no name of a server"))?;
    let stream = connect(&host, port).await?;
    let tls = request.tls.as_ref().map(Arc::clone).map_or_else(client_config, Ok)?;
    let tls = TlsConnector::from(tls).connect(name, stream).await;
    let tls = tls.map_err(|error| format!("TLS with {host} failed: {error}"))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await;
    let (mut sender, connection) = shaken.map_err(|error| with_causes(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = match request.form {
        Some(_) => Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded"),
        None => Request::get(path),
    };
    if let Some((_, Some(authorization))) = request.form {
        head = head.header(AUTHORIZATION, authorization);
    }
    let body = request.form.map_or_else(Bytes::new, |(form, _)| form.to_owned().into());
    let sent = head
        .header(HOST, authority)
        .header(ACCEPT, request.accept)
        .header(USER_AGENT, concat!("scimd/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    // Ends with this function, also if that is cut short.
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // Its error is that of the exchange.
        let _ = connection.await;
    });
    let answer = sender.send_request(sent).await.map_err(|error| with_causes(&error))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
    let body = body.map_err(|error| format!("the answer can't be read: {error}"))?;
    Ok((status, body.to_bytes()))
}

/// Trusts the authorities that this machine trusts, or those that SSL_CERT_FILE names.
fn client_config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let roots = authorities::of_this_machine();
    if roots.is_empty() {
        return Err(
            "this machine has no certificate authorities; install ca-certificates".to_owned()
        );
    }
    let config = trusting(roots)?;
    Ok(Arc::clone(CONFIG.get_or_init(|| config)))
}

/// Trusts these authorities alone.
///
/// # Errors
///
/// TLS can't be set up.
pub fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
