//! Server-sent events (HTML standard, section 9.2).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::consumer::{Consumer, ReadEvents, WaitingSeat};
use super::pace::Pace;
use super::page;
use crate::feed::Cursor;
use crate::http::error::Failure;
use crate::http::respond::{self, HttpResponse};

/// The media type of server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// How many events are read at once. One such part waits to be sent while the next is read.
const EVENTS: usize = 100;
/// The time between two comments while there are no events.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Begins a stream of the events after a cursor.
///
/// # Errors
///
/// The cursor is of another feed or too old; the application has too many consumers.
pub(super) async fn begin(consumer: Consumer, after: Cursor) -> Result<HttpResponse, Failure> {
    let seat = WaitingSeat::take(&consumer)?;
    let written = consumer.feed.written();
    let first = consumer.read(after, EVENTS, page::server_sent).await?;
    let (sender, parts) = mpsc::channel(1);
    let consumer = Arc::new(consumer);
    let sending = Arc::clone(&consumer);
    tokio::spawn(async move {
        let _seat = seat;
        send(&sending, written, first, after, sender).await;
    });
    // What was read and waits is not sent to a client that may no longer see it.
    Ok(respond::stream(EVENT_STREAM, parts, move || consumer.is_admitted()))
}

/// Sends events as they are written, and a comment now and then, until the client or the server ends it.
async fn send(
    consumer: &Consumer,
    mut written: watch::Receiver<u64>,
    mut read: ReadEvents,
    mut after: Cursor,
    sender: mpsc::Sender<Bytes>,
) {
    let mut due = Instant::now() + HEARTBEAT;
    let mut pace = Pace::new(Instant::now(), true);
    loop {
        let has_moved = read.next != after;
        match read.count {
            0 if has_moved => pace.unwanted(Instant::now()),
            0 => pace.written(Instant::now()),
            _ => pace.given(Instant::now()),
        }
        after = read.next;
        let part = match read.count {
            // Without data it is no event, and the client remembers the cursor.
            0 if Instant::now() >= due => Some(format!(": waiting\nid: {after}\n\n").into()),
            0 => None,
            _ => Some(read.answer.into_body().whole().unwrap_or_default()),
        };
        if let Some(part) = part {
            if sender.send(part).await.is_err() {
                return;
            }
            due = Instant::now() + HEARTBEAT;
        }
        tokio::select! {
            () = tokio::time::sleep_until(pace.due()), if has_moved => {}
            changed = written.changed(), if !has_moved => if changed.is_err() { return },
            () = tokio::time::sleep_until(due) => {}
            () = consumer.stopped() => return,
            () = sender.closed() => return,
        }
        written.mark_unchanged();
        // A client that can't be given more asks again, and learns why.
        let Ok(more) = consumer.read(after, EVENTS, page::server_sent).await else { return };
        read = more;
    }
}
