//! One delivery: a POST on a connection of its own, within 15 seconds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::signature::SigningKeys;
use crate::config::WebhookUrl;
use crate::fetch;
use crate::text::with_causes;

/// The maximum time from the look-up of the name to the head of the answer.
const TIME: Duration = Duration::from_secs(15);
/// How much of an answer's body is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// The maximum of `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Where deliveries go, and how they are signed.
#[derive(Clone)]
pub struct Receiver {
    /// The address.
    pub url: WebhookUrl,
    /// The secrets.
    pub keys: SigningKeys,
    /// What is trusted.
    pub tls: Arc<ClientConfig>,
}

/// What came of a delivery.
pub(super) enum DeliveryOutcome {
    /// It was taken.
    Taken,
    /// The receiver wants no more (410).
    Gone,
    /// It was not taken.
    Failed {
        /// A clause that says why.
        reason: String,
        /// When the receiver wants it again.
        retry_after: Option<Duration>,
    },
}

impl Receiver {
    /// Sends a batch of events that has an id.
    pub(super) async fn deliver(&self, id: &str, timestamp: i64, body: Bytes) -> DeliveryOutcome {
        self.deliver_within(TIME, id, timestamp, body).await
    }

    async fn deliver_within(
        &self,
        time: Duration,
        id: &str,
        timestamp: i64,
        body: Bytes,
    ) -> DeliveryOutcome {
        let failed = |reason: String| DeliveryOutcome::Failed { reason, retry_after: None };
        let signature = self.keys.sign(id, timestamp, &body);
        let request = Request::post(self.url.path.as_str())
            .header("host", self.url.authority.as_str())
            .header("user-agent", concat!("scimd/", env!("CARGO_PKG_VERSION")))
            .header("content-type", "application/cloudevents-batch+json")
            .header("connection", "close")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        let end = Instant::now() + time;
        match tokio::time::timeout_at(end, self.exchange(request, end)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(reason)) => failed(reason),
            Err(_) => failed(format!("no answer within {} seconds", time.as_secs())),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        end: Instant,
    ) -> Result<DeliveryOutcome, String> {
        let WebhookUrl { host, port, .. } = &self.url;
        if !self.url.is_https {
            // On the loopback interface, which no proxy reaches.
            let stream = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(|error| format!("can't connect to {host}:{port}: {error}"))?;
            return answer(stream, request, end).await;
        }
        let stream = fetch::connect(host, *port).await?;
        let name = ServerName::try_from(host.clone())
            .map_err(|_| format!("\"{host}\" is no name that a certificate can have"))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|error| format!("no TLS with {host}:{port}: {error}"))?;
        answer(stream, request, end).await
    }
}

/// Sends a request and reads its answer.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    end: Instant,
) -> Result<DeliveryOutcome, String> {
    let broken = |error: hyper::Error| format!("the connection failed: {}", with_causes(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with this delivery.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").and_then(|value| {
        let seconds: u64 = value.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
    });
    let mut body = answer.into_body();
    let drain = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read >= MAX_ANSWER {
                break;
            }
        }
    };
    // The status counts, whatever the body says.
    let early = end.checked_sub(Duration::from_millis(500)).unwrap_or(end);
    let _ = tokio::time::timeout_at(early, drain).await;
    Ok(match status {
        200..=299 => DeliveryOutcome::Taken,
        410 => DeliveryOutcome::Gone,
        300..=399 => DeliveryOutcome::Failed {
            reason: format!("status {status}: redirects are not followed; correct the url"),
            retry_after,
        },
        _ => DeliveryOutcome::Failed { reason: format!("status {status}"), retry_after },
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Delivers to a receiver that sends this and then nothing, within a second.
    async fn deliver(answer: &'static str) -> (DeliveryOutcome, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        });
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let receiver = Receiver {
            url: format!("http://127.0.0.1:{port}/").parse().ok().unwrap(),
            keys: SigningKeys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok().unwrap(),
            tls: Arc::new(tls),
        };
        let begun = Instant::now();
        let time = Duration::from_secs(1);
        let outcome = receiver.deliver_within(time, "id", 0, Bytes::from_static(b"[]")).await;
        (outcome, begun.elapsed())
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_answer_in_time_has_failed() {
        for answer in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
            let (outcome, time) = deliver(answer).await;
            let DeliveryOutcome::Failed { reason, retry_after: None } = outcome else {
                panic!("{answer:?} was taken for an answer");
            };
            assert_eq!(reason, "no answer within 1 seconds");
            assert!(time >= Duration::from_secs(1) && time < TIME, "{time:?}");
        }
    }

    #[tokio::test]
    async fn a_status_counts_though_the_body_does_not_end_in_time() {
        let (outcome, time) = deliver("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1").await;
        assert!(matches!(outcome, DeliveryOutcome::Taken));
        assert!(time < TIME, "{time:?}");
    }
}
