//! The proxy of the environment: HTTPS_PROXY, ALL_PROXY and NO_PROXY.

use data_encoding::BASE64;
use hyper::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The size of a proxy's answer, in bytes.
const MAX_PROXY_ANSWER: usize = 8 * 1024;

/// Connects to a server, or has the proxy connect to it; TLS follows on the stream. The caller limits the time.
///
/// # Errors
///
/// A sentence that says why there is no connection.
pub async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
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

/// The port of the proxy, if the environment names one.
pub fn proxy_port() -> Option<u16> {
    // One that can't be read is reported when it is needed.
    Proxy::of_environment("").ok().flatten().map(|proxy| proxy.port)
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
