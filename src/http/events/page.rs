//! A page of events, as JSON and as server-sent events.

use crate::feed::{FeedEvent, FeedPage};

/// The media type of a page.
pub(super) const JSON: &str = "application/json";

/// The room for what a page says of itself, and for the frame of an event.
const HEAD: usize = 256;
const FRAME: usize = 128;

/// `{"events": [...], "next": ..., "oldest": ..., "head": ...}`; the events as their bytes are.
pub(super) fn json(page: &FeedPage) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEAD + page.bytes() + page.events.len());
    body.extend_from_slice(b"{\"events\":[");
    for (number, event) in page.events.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.bytes);
    }
    let FeedPage { next, oldest, head, .. } = page;
    let end = format!("],\"next\":\"{next}\",\"oldest\":\"{oldest}\",\"head\":\"{head}\"}}");
    body.extend_from_slice(end.as_bytes());
    body
}

/// Server-sent events: `id` is the cursor behind the event, `data` its bytes, which have no line end.
pub(super) fn server_sent(page: &FeedPage) -> Vec<u8> {
    let room = page.bytes() + FRAME * page.events.len();
    let mut body = Vec::with_capacity(room);
    for FeedEvent { cursor, event_type, bytes } in &page.events {
        let head = format!("id: {cursor}\nevent: {}\ndata: ", event_type.as_str());
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\n\n");
    }
    body
}
