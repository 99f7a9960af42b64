//! HTTP responses, with a body or without one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

use super::turns::Turn;

/// A response to a client.
pub(super) type HttpResponse = Response<ResponseBody>;

/// The media type of SCIM (RFC 7644, section 8.1).
pub(super) const SCIM_JSON: &str = "application/scim+json";
/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

/// The body of a response.
pub struct ResponseBody(Content);

enum Content {
    Whole(Bytes),
    Chunks {
        /// Makes each chunk when it is about to be sent.
        chunks: Box<dyn Iterator<Item = Bytes> + Send>,
        /// The memory that it takes, in bytes.
        held: usize,
        /// What it is counted by, until all chunks are made.
        turn: Option<Turn>,
    },
    Stream {
        /// What is sent, until its sender is gone.
        parts: mpsc::Receiver<Bytes>,
        /// Whether a part may be sent, asked just before; the body ends if not.
        may_send: Box<dyn Fn() -> bool + Send>,
    },
}

/// Bytes that are counted until the last of them is handed to the socket.
struct Counted {
    bytes: Bytes,
    _turn: Turn,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    /// A body that is made in chunks, from what takes `held` bytes of memory.
    pub(super) fn chunks(
        chunks: impl Iterator<Item = Bytes> + Send + 'static,
        held: usize,
    ) -> Self {
        Self(Content::Chunks { chunks: Box::new(chunks), held, turn: None })
    }

    /// All of the body, if it is not made in chunks.
    pub(super) fn whole(&self) -> Option<Bytes> {
        match &self.0 {
            Content::Whole(bytes) => Some(bytes.clone()),
            Content::Chunks { .. } | Content::Stream { .. } => None,
        }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.0 {
            Content::Whole(bytes) => bytes.len(),
            Content::Chunks { held, .. } => *held,
            Content::Stream { .. } => 0,
        }
    }

    /// The same body, which keeps a turn until it has been sent.
    pub(super) fn counted_by(self, turn: Turn) -> Self {
        Self(match self.0 {
            Content::Whole(bytes) => {
                Content::Whole(Bytes::from_owner(Counted { bytes, _turn: turn }))
            }
            Content::Chunks { chunks, held, .. } => {
                Content::Chunks { chunks, held, turn: Some(turn) }
            }
            // Its parts are counted.
            stream @ Content::Stream { .. } => stream,
        })
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole(bytes))
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.get_mut().0 {
            Content::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Content::Chunks { chunks, turn, .. } => {
                let next = chunks.next();
                if next.is_none() {
                    drop(turn.take());
                }
                next
            }
            Content::Stream { parts, may_send } => match parts.poll_recv(cx) {
                Poll::Ready(part) => part.filter(|_| may_send()),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Chunks { .. } | Content::Stream { .. } => SizeHint::default(),
        }
    }
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> HttpResponse {
    let mut answer = Response::new(ResponseBody::from(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// A response whose body is sent in parts as they come, each only if it then may be.
pub(super) fn stream(
    media_type: &'static str,
    parts: mpsc::Receiver<Bytes>,
    may_send: impl Fn() -> bool + Send + 'static,
) -> HttpResponse {
    let content = Content::Stream { parts, may_send: Box::new(may_send) };
    body(StatusCode::OK, media_type, ResponseBody(content))
}

/// A response with a body in SCIM's JSON.
pub(super) fn json_body(status: StatusCode, body: impl Into<ResponseBody>) -> HttpResponse {
    self::body(status, SCIM_JSON, body)
}

/// A response with a body, which no cache may store.
pub(super) fn body(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<ResponseBody>,
) -> HttpResponse {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
