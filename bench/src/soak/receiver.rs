//! Receivers of webhooks: one that takes each delivery, one that fails now and then.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::Problems;
use super::ledger::{Ledger, hash};
use crate::oauth::base64;

/// The key of the signatures.
const KEY: [u8; 32] = [7; 32];
/// How long the slow answers of the receiver that fails take: less than scimd waits, and more.
const SLOW: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(20);

/// The secret as the configuration has it.
pub fn secret() -> String {
    format!("whsec_{}\n", base64(&KEY, b'+', b'/', true))
}

/// What happens to a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    /// It is taken, but answered later.
    Slow,
    /// It is taken, but answered too late.
    Late,
    /// It is taken, but answered with 500.
    Lost,
    /// It is answered with 500 and not taken.
    Refused,
}

impl Fate {
    /// What a receiver that fails does with one delivery after the other: two of 20 are answered with 500.
    fn of(delivery: usize) -> Self {
        match (delivery % 500, delivery % 20) {
            (0, _) => Self::Late,
            (_, 0) => Self::Lost,
            (_, 10) => Self::Refused,
            (_, 5) => Self::Slow,
            _ => Self::Taken,
        }
    }

    fn is_repeated(self) -> bool {
        matches!(self, Self::Late | Self::Lost | Self::Refused)
    }
}

/// What a receiver got.
pub struct Receiver {
    name: &'static str,
    fails: bool,
    ledger: Arc<Ledger>,
    progress: Mutex<Progress>,
    problems: Arc<Problems>,
}

/// How far it is. A batch is its id and a hash of its bytes.
#[derive(Default)]
struct Progress {
    deliveries: usize,
    /// Those that were answered with 500 or too late.
    failed: usize,
    /// Those of a batch that was taken before.
    repeated: usize,
    taken: Option<(String, u64)>,
    /// What must come next, after a failure.
    due: Option<(String, u64)>,
}

impl Receiver {
    pub fn new(name: &'static str, fails: bool, problems: &Arc<Problems>) -> Arc<Self> {
        let (ledger, progress) = (Arc::default(), Mutex::default());
        Arc::new(Self { name, fails, ledger, progress, problems: Arc::clone(problems) })
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// What came of the deliveries.
    pub fn summary(&self) -> String {
        let Progress { deliveries, failed, repeated, .. } = &*self.lock();
        format!(
            "{deliveries} deliveries, {failed} of them failed, {repeated} repeated what was taken"
        )
    }

    /// Takes deliveries: over TLS, unless this is the one that fails.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, tls: TlsAcceptor) -> Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let (this, tls) = (Arc::clone(&self), tls.clone());
            tokio::spawn(async move {
                if this.fails {
                    return this.converse(stream).await;
                }
                match tls.accept(stream).await {
                    Ok(stream) => this.converse(stream).await,
                    Err(error) => this.problems.add(this.name, &error.into()),
                }
            });
        }
    }

    async fn converse(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(move |request| {
            let this = Arc::clone(&self);
            async move { this.answer(request).await }
        });
        // scimd hangs up when it has waited for too long.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        // A body that breaks off ends the connection anyway.
        let Ok(body) = body.collect().await else { return Ok(response) };
        let fate = self.take(&head.headers, &body.to_bytes()).unwrap_or_else(|error| {
            self.problems.add(self.name, &error);
            Fate::Taken
        });
        match fate {
            Fate::Slow => sleep(SLOW).await,
            Fate::Late => sleep(LATE).await,
            Fate::Taken | Fate::Lost | Fate::Refused => {}
        }
        if !fate.is_repeated() {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        Ok(response)
    }

    /// Checks a delivery by what the documentation promises, and notes its events.
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> Result<Fate> {
        let id = verified(headers, body)?;
        let batch = (id.to_owned(), hash(body));
        let mut progress = self.lock();
        progress.deliveries += 1;
        let fate = if self.fails { Fate::of(progress.deliveries) } else { Fate::Taken };
        if let Some(due) = progress.due.take() {
            ensure!(due == batch, "after {due:?} had failed, {batch:?} came");
        }
        if fate.is_repeated() {
            progress.failed += 1;
            progress.due = Some(batch.clone());
        }
        if progress.taken.as_ref() == Some(&batch) {
            progress.repeated += 1;
            ensure!(self.fails, "{id} came again, though it was taken");
        } else if fate != Fate::Refused {
            let events: Vec<Value> = serde_json::from_slice(body)?;
            ensure!((1..=100).contains(&events.len()), "a batch of {} events", events.len());
            self.ledger.take(&events)?;
            progress.taken = Some(batch);
        }
        Ok(fate)
    }
}

/// The id of a delivery whose signature is right.
fn verified<'a>(headers: &'a HeaderMap, body: &[u8]) -> Result<&'a str> {
    let header = |name: &str| {
        let value = headers.get(name).with_context(|| format!("a delivery without {name}"))?;
        anyhow::Ok(value.to_str()?)
    };
    let id = header("webhook-id")?;
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &KEY));
    context.update(format!("{id}.{}.", header("webhook-timestamp")?).as_bytes());
    context.update(body);
    let signature = format!("v1,{}", base64(context.sign().as_ref(), b'+', b'/', true));
    ensure!(header("webhook-signature")? == signature, "the signature of {id} is wrong");
    Ok(id)
}
