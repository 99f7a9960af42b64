//! A request that could not be parsed gets an answer with words in it.
//!
//! hyper answers such a head by itself: a status, no body, and a close. It has no hook for another
//! body, but what it writes while no request is in the service's hands can only be that answer. So
//! this wrapper, above TLS, lets such a write pass for done and sends the service's words instead.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Service;
use super::activity::Activity;

/// A connection whose answers to unparsed requests are the service's.
pub(super) struct Unparsed<IO, S> {
    inner: IO,
    activity: Arc<Activity>,
    service: Arc<S>,
    /// What is still to be sent instead of hyper's answer.
    instead: Vec<u8>,
}

impl<IO, S: Service> Unparsed<IO, S> {
    pub(super) fn new(inner: IO, activity: Arc<Activity>, service: Arc<S>) -> Self {
        Self { inner, activity, service, instead: Vec::new() }
    }

    pub(super) fn into_inner(self) -> IO {
        self.inner
    }

    /// The answer in the service's words, for hyper's.
    fn substitute(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let status = StatusCode::from_bytes(answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?;
        let (media, body) = self.service.unparsed(status);
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&body);
        Some(bytes)
    }
}

impl<IO: AsyncWrite + Unpin, S: Service> Unparsed<IO, S> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + Unpin, S: Service> AsyncRead for Unparsed<IO, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin, S: Service> AsyncWrite for Unparsed<IO, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.activity.awaits_request()
            && let Some(instead) = this.substitute(buf)
        {
            this.instead = instead;
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.activity.awaits_request() {
            let whole: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
            return Pin::new(this).poll_write(cx, &whole);
        }
        Pin::new(&mut this.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
