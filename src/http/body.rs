//! Reading a request's body: media type, size, time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use hyper::http::request::Parts;

use super::error::Failure;

/// The limits of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Its size in bytes.
    pub(super) bytes: usize,
    /// The time from its first byte to its last.
    pub(super) time: Duration,
}

/// How much is read of the body of a request that the gate or the router refuses, so that the client
/// receives the response rather than a reset.
pub(super) const REFUSED: BodyLimits =
    BodyLimits { bytes: 64 * 1024, time: Duration::from_secs(1) };

/// Like [`REFUSED`], for the body of an authenticated client that is too large or of the wrong kind.
const TOO_LARGE: BodyLimits = BodyLimits { bytes: 16 * 1024 * 1024, time: Duration::from_secs(5) };

/// How many bytes of an announced body are allocated before any of it has come.
const INITIAL_CAPACITY: usize = 16 * 1024;

/// Reads the body of a request that must carry JSON.
///
/// # Errors
///
/// `UnsupportedMediaType`, `BodyTooLarge`, `BodyTooSlow`, or `BodyBroken` if the client closed the
/// connection.
pub(super) async fn read_json(
    parts: &Parts,
    body: Incoming,
    limits: BodyLimits,
) -> Result<Bytes, Failure> {
    let media = check_encoding(&parts.headers).and_then(|()| check_json(&parts.headers));
    read(parts, body, limits, (media, TOO_LARGE)).await
}

/// Reads the body of a request that must carry a form, from a client that is not known yet.
///
/// # Errors
///
/// As [`read_json`]; `TokenRequest` instead of `UnsupportedMediaType`.
pub(super) async fn read_form(
    parts: &Parts,
    body: Incoming,
    limits: BodyLimits,
) -> Result<Bytes, Failure> {
    let media = check_encoding(&parts.headers).and_then(|()| check_form(&parts.headers));
    let media = media.map_err(|failure| match failure {
        Failure::UnsupportedMediaType(detail) => {
            Failure::TokenRequest { error: "invalid_request", detail }
        }
        other => other,
    });
    read(parts, body, limits, (media, REFUSED)).await
}

/// Reads a body whose media type was checked; how much is discarded of one that is not read.
async fn read(
    parts: &Parts,
    body: Incoming,
    limits: BodyLimits,
    (media, discarded): (Result<(), Failure>, BodyLimits),
) -> Result<Bytes, Failure> {
    if let Err(failure) = media {
        discard(parts, body, discarded).await;
        return Err(failure);
    }
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limits.bytes as u64) {
        discard(parts, body, discarded).await;
        return Err(Failure::BodyTooLarge(limits.bytes));
    }
    let capacity = announced.map_or(0, |length| length as usize).min(INITIAL_CAPACITY);
    match tokio::time::timeout(limits.time, collect(body, limits.bytes, capacity)).await {
        Err(_) => Err(Failure::BodyTooSlow(limits.time)),
        Ok(read) => read,
    }
}

/// Copies the frames of a body into one buffer. A frame is dropped once it is copied: each refers to a read
/// buffer of its connection, so that keeping a million chunks of one byte would take forty times their size.
async fn collect(mut body: Incoming, limit: usize, capacity: usize) -> Result<Bytes, Failure> {
    let mut whole = Vec::with_capacity(capacity);
    while let Some(frame) = body.frame().await {
        // Trailers are read and dropped.
        let Ok(data) = frame.map_err(|_| Failure::BodyBroken)?.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(Failure::BodyTooLarge(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// Reads and discards a body, within limits. A client that waits for `100 Continue` gets none.
pub(super) async fn discard(parts: &Parts, body: Incoming, limits: BodyLimits) {
    if parts.headers.contains_key(EXPECT) {
        return;
    }
    let mut body = Limited::new(body, limits.bytes);
    let drain = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whether it was read to its end or not, the answer is the same.
    let _ = tokio::time::timeout(limits.time, drain).await;
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    let identity =
        |value: &hyper::header::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(|value| !identity(value)) {
        return Err(Failure::UnsupportedMediaType(
            "Compressed bodies are not supported; send the body without Content-Encoding."
                .to_owned(),
        ));
    }
    Ok(())
}

fn check_json(headers: &HeaderMap) -> Result<(), Failure> {
    check_media(headers, &["application/scim+json", "application/json"])
}

fn check_form(headers: &HeaderMap) -> Result<(), Failure> {
    check_media(headers, &["application/x-www-form-urlencoded"])
}

fn check_media(headers: &HeaderMap, known: &[&str]) -> Result<(), Failure> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default().trim();
    if known.iter().any(|known| known.eq_ignore_ascii_case(media)) {
        return Ok(());
    }
    let found =
        if media.is_empty() { "none".to_owned() } else { format!("\"{}\"", media.escape_debug()) };
    Err(Failure::UnsupportedMediaType(format!(
        "Content-Type must be {}, not {found}.",
        known.join(" or ")
    )))
}
