//! Fetches the keys of an issuer: over HTTPS, through the proxy of the environment, without following redirects.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::authorities;
use crate::connection::assertion::KeySet;
use crate::connection::federation::KeySetUrl;
use crate::text::with_causes;

/// The time for all of it.
const TIME: Duration = Duration::from_secs(5);
/// The size of what is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The size of a proxy's answer, in bytes.
const MAX_PROXY_ANSWER: usize = 8 * 1024;

/// Fetches a set of keys.
///
/// # Errors
///
/// A sentence that says why there is none, for the log.
pub(super) async fn fetch(url: &KeySetUrl) -> Result<KeySet, String> {
    match tokio::time::timeout(TIME, try_fetch(url)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(format!("no answer within {} seconds", TIME.as_secs())),
    }
}

async fn try_fetch(url: &KeySetUrl) -> Result<KeySet, String> {
    let uri: Uri = url.as_str().parse().map_err(|error| format!("not a URL: {error}"))?;
    let authority = uri.authority().ok_or("the URL has no host")?.as_str().to_owned();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|_| format!("\"{host}\" is no name of a server"))?;
    let stream = connect(&host, port).await?;
    let connector = TlsConnector::from(client_config()?);
    let tls = connector.connect(name, stream).await;
    let tls = tls.map_err(|error| format!("TLS with {host} failed: {error}"))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await;
    let (mut sender, connection) = shaken.map_err(|error| with_causes(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(USER_AGENT, concat!("scimd/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // Ends with this function, also if that is cut short.
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // Its error is that of the exchange.
        let _ = connection.await;
    });
    let answer = sender.send_request(request).await.map_err(|error| with_causes(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("the answer is {}, and redirects are not followed", answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
    let body = body.map_err(|error| format!("the answer can't be read: {error}"))?;
    KeySet::parse(&body.to_bytes()).map_err(|error| error.to_string())
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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// Connects to a server, or has the proxy connect to it.
async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let dial = async |host: &str, port| {
        let stream = TcpStream::connect((host, port)).await;
        stream.map_err(|error| format!("can't connect to {host}:{port}: {error}"))
    };
    let Some(proxy) = Proxy::of_environment(host)? else { return dial(host, port).await };
    let mut stream = dial(&proxy.host, proxy.port).await?;
    let target =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(credentials) = &proxy.credentials {
        request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
    }
    request.push_str("\r\n");
    let failed = |error: std::io::Error| format!("the proxy {} failed: {error}", proxy.host);
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head belongs to TLS.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MAX_PROXY_ANSWER {
            return Err(format!("the answer of the proxy {} is too long", proxy.host));
        }
        answer.push(stream.read_u8().await.map_err(failed)?);
    }
    let head = String::from_utf8_lossy(&answer);
    match head.split(' ').nth(1) {
        Some("200") => Ok(stream),
        other => {
            let status = other.unwrap_or("none");
            Err(format!("the proxy {} refused the connection: status {status}", proxy.host))
        }
    }
}

/// An HTTP proxy.
#[derive(Debug, PartialEq, Eq)]
struct Proxy {
    host: String,
    port: u16,
    /// User name and password in base64.
    credentials: Option<String>,
}

impl Proxy {
    /// The proxy that HTTPS_PROXY names, unless NO_PROXY lists the host.
    fn of_environment(host: &str) -> Result<Option<Self>, String> {
        let variable = |upper: &str| {
            let lower = std::env::var(upper.to_lowercase());
            lower.or_else(|_| std::env::var(upper)).ok().filter(|value| !value.is_empty())
        };
        let Some(proxy) = variable("HTTPS_PROXY").or_else(|| variable("ALL_PROXY")) else {
            return Ok(None);
        };
        if variable("NO_PROXY").is_some_and(|list| is_listed(&list, host)) {
            return Ok(None);
        }
        Self::parse(&proxy).map(Some)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "HTTPS_PROXY is no URL such as http://proxy.example.com:3128".to_owned();
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(wrong)?.as_str();
        let credentials = authority.rsplit_once('@').map(|(user, _)| {
            let decoded = percent_encoding::percent_decode_str(user).collect::<Vec<u8>>();
            BASE64.encode(&decoded)
        });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), credentials })
    }
}

/// Whether NO_PROXY lists a host: itself, a domain that it is in, or everything.
fn is_listed(list: &str, host: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        let inside = host.len() > domain.len()
            && host.to_ascii_lowercase().ends_with(&format!(".{}", domain.to_ascii_lowercase()));
        entry == "*" || domain.eq_ignore_ascii_case(host) || inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_port_and_credentials() {
        let proxy =
            |text: &str| Proxy::parse(text).map(|one| (one.host, one.port, one.credentials));
        let plain = |host: &str, port| Ok((host.to_owned(), port, None));
        assert_eq!(proxy("http://proxy:3128"), plain("proxy", 3_128));
        assert_eq!(proxy("proxy:3128/"), plain("proxy", 3_128));
        assert_eq!(proxy("http://[::1]"), plain("::1", 80));
        let credentials = Some(BASE64.encode(b"u:p@"));
        assert_eq!(proxy("http://u:p%40@proxy"), Ok(("proxy".to_owned(), 80, credentials)));
        for wrong in ["https://proxy", "socks5://proxy:1080", "http://"] {
            assert!(proxy(wrong).unwrap_err().contains("http://proxy.example.com:3128"), "{wrong}");
        }
    }

    #[test]
    fn hosts_of_no_proxy_are_reached_directly() {
        let list = "localhost, .example.com,*.corp.example,10.0.0.1";
        for host in ["localhost", "example.com", "a.example.com", "x.corp.example", "10.0.0.1"] {
            assert!(is_listed(list, host), "{host}");
        }
        for host in ["notexample.com", "example.org", "10.0.0.11", ""] {
            assert!(!is_listed(list, host), "{host}");
        }
        assert!(is_listed("*", "anything") && !is_listed("", "anything"));
    }
}
