//! Consumers of the change feed: those that follow it, one that streams it, one that reads it again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::BodyExt as _;
use hyper::header::ACCEPT;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::ledger::Ledger;
use crate::client::{Ask, Connection, Target};

/// How many events a page has, unless there are no more: one is far smaller than 8 KiB.
const PAGE: usize = 1_000;
/// The time between two pages of the one that reads from the start.
const PAUSE: Duration = Duration::from_millis(300);
/// How long an event may be under way until it is in the feed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows the feed by long polls, behind a cursor.
pub async fn follow(target: Target, mut after: String, ledger: Arc<Ledger>) -> Result<()> {
    let mut connection = Connection::open(&target).await?;
    loop {
        let path = format!("/events?limit={PAGE}&wait=30&after={after}");
        let page = connection.ask(Ask::get(path)).await?.json()?;
        ledger.take(events(&page)?)?;
        after = next(&page)?;
    }
}

/// Streams the events behind a cursor, and goes on with another stream when one ends.
pub async fn stream(
    target: Target,
    mut after: String,
    ledger: Arc<Ledger>,
    streams: Arc<AtomicUsize>,
) -> Result<()> {
    let target = target.with(&[(ACCEPT, "text/event-stream")])?;
    loop {
        streams.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::open(&target).await?;
        let answer = connection.begin(Ask::get(format!("/events?after={after}"))).await?;
        ensure!(answer.status().is_success(), "the stream is answered with {}", answer.status());
        let (mut body, mut rest) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = rest.drain(..end + 2).collect();
                let message = std::str::from_utf8(&message)?;
                for line in message.lines() {
                    if let Some(id) = line.strip_prefix("id: ") {
                        id.clone_into(&mut after);
                    } else if let Some(data) = line.strip_prefix("data: ") {
                        ledger.take([&serde_json::from_str(data)?])?;
                    }
                }
            }
        }
    }
}

/// Reads everything that is kept from the start, again and again: each time the same, and more.
pub async fn read_again(
    target: Target,
    ledger: Arc<Ledger>,
    passes: Arc<AtomicUsize>,
) -> Result<()> {
    let mut connection = Connection::open(&target).await?;
    loop {
        let (mut after, mut position) = (String::new(), 0);
        loop {
            let page = page(&mut connection, &after).await?;
            let events = events(&page)?;
            ledger.take_again(position, events)?;
            position += events.len();
            after = next(&page)?;
            sleep(PAUSE).await;
            if events.len() < PAGE {
                break;
            }
        }
        passes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads the feed from the start until it ends with events of that user; what was read, and the cursor behind it.
pub async fn read_until(target: &Target, user: &str) -> Result<(Ledger, String)> {
    let mut connection = Connection::open(target).await?;
    let (ledger, mut after, begun) = (Ledger::default(), String::new(), Instant::now());
    let mut is_found = false;
    loop {
        let page = page(&mut connection, &after).await?;
        let events = events(&page)?;
        ledger.take(events)?;
        after = next(&page)?;
        is_found |= events.last().is_some_and(|event| event.to_string().contains(user));
        if events.is_empty() {
            if is_found {
                return Ok((ledger, after));
            }
            ensure!(begun.elapsed() < PATIENCE, "the feed has no event of the last user");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The next events.
async fn page(connection: &mut Connection, after: &str) -> Result<Value> {
    let after = if after.is_empty() { String::new() } else { format!("&after={after}") };
    connection.ask(Ask::get(format!("/events?limit={PAGE}{after}"))).await?.json()
}

fn events(page: &Value) -> Result<&[Value]> {
    page["events"].as_array().map(Vec::as_slice).context("a page without events")
}

fn next(page: &Value) -> Result<String> {
    Ok(page["next"].as_str().context("a page without a cursor")?.to_owned())
}
