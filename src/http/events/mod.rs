//! `GET /events`: the change feed, as pages of JSON, by long polling, or as server-sent events.
//!
//! Waiting is not work: a consumer that waits holds neither a turn nor the configuration that its request came under. Its
//! credential is checked again before anything is sent.

mod consumer;
mod pace;
mod page;
mod request;
mod stream;

use hyper::http::request::Parts;
use tokio::time::Instant;

use super::error::Failure;
use super::respond::HttpResponse;
pub(super) use consumer::Consumer;
use consumer::WaitingSeat;
use pace::Pace;
use request::FeedRequest;

/// How many changes such a consumer is behind at most.
const KEEPS_UP: u64 = 100;

/// Answers a request for events: at once if there are some, else once there are, or when the time to wait is over.
pub(super) async fn answer(mut consumer: Consumer, parts: &Parts) -> Result<HttpResponse, Failure> {
    let FeedRequest { after, limit, wait, streams, filter } = FeedRequest::parse(parts)?;
    consumer.filter = filter;
    let mut after = after.unwrap_or_else(|| consumer.feed.oldest());
    if streams {
        return stream::begin(consumer, after).await;
    }
    let mut written = consumer.feed.written();
    let keeps_up = *written.borrow() < after.sequence().saturating_add(KEEPS_UP);
    let begun = Instant::now();
    let deadline = begun + wait;
    let mut pace = Pace::new(begun, keeps_up);
    let mut seat = None;
    loop {
        if !wait.is_zero() {
            tokio::time::sleep_until(pace.due().min(deadline)).await;
        }
        let seen = *written.borrow_and_update();
        let is_last = Instant::now() >= deadline || consumer.is_stopping();
        let read = consumer.read(after, limit, page::json).await?;
        if read.count > 0 || is_last {
            return match wait.is_zero() || consumer.is_admitted() {
                true => Ok(read.answer),
                false => Err(Failure::Unauthenticated),
            };
        }
        if seat.is_none() {
            seat = Some(WaitingSeat::take(&consumer)?);
        }
        if read.next != after {
            pace.unwanted(Instant::now());
        }
        after = read.next;
        tokio::select! {
            changed = written.wait_for(|now| *now != seen) => {
                // The feed has ended, and the server with it.
                changed.map_err(|_| Failure::Internal)?;
                pace.written(Instant::now());
            }
            () = tokio::time::sleep_until(deadline) => {}
            () = consumer.stopped() => {}
        }
        if !consumer.is_admitted() {
            return Err(Failure::Unauthenticated);
        }
    }
}
