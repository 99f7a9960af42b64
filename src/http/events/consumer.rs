//! A consumer of the feed, as long as it is served.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hyper::StatusCode;
use tokio::sync::watch;

use super::page::JSON;
use crate::connection::token::TokenOwner;
use crate::feed::{Cursor, EventFilter, Feed, FeedPage};
use crate::http::audience::TokenScope;
use crate::http::context::HttpContext;
use crate::http::error::Failure;
use crate::http::gate::Admitted;
use crate::http::request_metrics::CallerMetrics;
use crate::http::respond::{self, HttpResponse};

/// The bytes of events up to which a page is made at once if they are in memory.
const SMALL: usize = 32 * 1024;

/// How many consumers of one application may wait or stream at once.
const MAX_WAITING: usize = 64;

/// A consumer of the feed. It loads the configuration each time that it needs it.
pub(in crate::http) struct Consumer {
    pub(super) feed: Arc<Feed>,
    context: Arc<ArcSwap<HttpContext>>,
    stopping: watch::Receiver<bool>,
    owner: TokenOwner,
    token: String,
    address: IpAddr,
    requests: Arc<CallerMetrics>,
    pub(super) filter: EventFilter,
}

/// Events that were read, as the body of an answer.
pub(super) struct ReadEvents {
    pub(super) answer: HttpResponse,
    /// Where to go on.
    pub(super) next: Cursor,
    pub(super) count: usize,
}

impl Consumer {
    pub(in crate::http) fn new(
        feed: Arc<Feed>,
        context: Arc<ArcSwap<HttpContext>>,
        stopping: watch::Receiver<bool>,
        admitted: Admitted,
    ) -> Self {
        let Admitted { owner, token, address, requests, .. } = admitted;
        let filter = EventFilter::default();
        Self { feed, context, stopping, owner, token, address, requests, filter }
    }

    /// Whether its token still is valid and may follow the feed from its address.
    pub(super) fn is_admitted(&self) -> bool {
        let context = self.context.load();
        context.directory.is_token_valid(&self.token)
            && context.gate.admits(&self.owner, self.address, TokenScope::Events)
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the server begins to stop.
    pub(super) async fn stopped(&self) {
        // An error means that the sender is gone, which is a stop as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Reads events in turn, and makes an answer of them.
    pub(super) async fn read(
        &self,
        after: Cursor,
        limit: usize,
        form: fn(&FeedPage) -> Vec<u8>,
    ) -> Result<ReadEvents, Failure> {
        // Consumers that keep up need no turn, and no memory that is counted.
        let recent = self.feed.recent(&after, &self.filter, limit);
        if let Some(page) = recent.filter(|page| page.bytes() <= SMALL) {
            let answer = respond::body(StatusCode::OK, JSON, form(&page));
            return Ok(ReadEvents { answer, next: page.next, count: page.events.len() });
        }
        let end = Mutex::new((after, 0));
        let work_limits = Arc::clone(&self.context.load().work_limits);
        let work = |_| {
            let page = self.feed.read(&after, &self.filter, limit).map_err(Failure::Feed)?;
            *end.lock().unwrap_or_else(PoisonError::into_inner) = (page.next, page.events.len());
            Ok(respond::body(StatusCode::OK, JSON, form(&page)))
        };
        let answer = work_limits.long(self.requests.number, work).await?;
        let (next, count) = end.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(ReadEvents { answer, next, count })
    }
}

/// The seat of a consumer that waits or streams, given back when it is dropped.
pub(super) struct WaitingSeat(Arc<CallerMetrics>);

impl WaitingSeat {
    /// # Errors
    ///
    /// [`Failure::TooManyConsumers`].
    pub(super) fn take(consumer: &Consumer) -> Result<Self, Failure> {
        let requests = &consumer.requests;
        let one_more = |waiting| (waiting < MAX_WAITING).then_some(waiting + 1);
        let (set, fetched) = (Ordering::Relaxed, Ordering::Relaxed);
        match requests.waiting.fetch_update(set, fetched, one_more) {
            Ok(_) => Ok(Self(Arc::clone(requests))),
            Err(_) => Err(Failure::TooManyConsumers(MAX_WAITING)),
        }
    }
}

impl Drop for WaitingSeat {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
