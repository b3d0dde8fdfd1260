//! A socket with timeouts: for the head of a request, between requests, and for a client that does
//! not read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;

/// The first bytes of an HTTP/2 client.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A socket with timeouts.
pub(super) struct TimedSocket<T> {
    socket: T,
    activity: Arc<Activity>,
    /// Length of the preface received so far; none once other bytes came.
    preface: Option<usize>,
    /// Fires at the read deadline or earlier, and is then reset. Resetting it for every request
    /// would cost more than reading it.
    reading: Pin<Box<Sleep>>,
    stall: Duration,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<T> TimedSocket<T> {
    pub(super) fn new(socket: T, activity: Arc<Activity>, stall: Duration) -> Self {
        let first = activity.deadline().unwrap_or_else(Instant::now);
        let reading = Box::pin(sleep_until(first));
        Self { socket, activity, preface: Some(0), reading, stall, writing: None }
    }

    fn came(&mut self, bytes: &[u8]) {
        self.activity.received();
        if let Some(known) = self.preface {
            let next = bytes.len().min(PREFACE.len() - known);
            let same = bytes[..next] == PREFACE[known..known + next];
            self.preface = same.then_some(known + next);
            if self.preface == Some(PREFACE.len()) {
                self.preface = None;
                self.activity.set_multiplexed();
            }
        }
    }

    /// Returns ready when the client has missed the read deadline.
    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(deadline) = self.activity.deadline() {
                if deadline <= Instant::now() {
                    return Poll::Ready(());
                }
                if deadline < self.reading.deadline() {
                    self.reading.as_mut().reset(deadline);
                }
            }
            ready!(self.reading.as_mut().poll(cx));
            // While a request is in flight, check periodically: nothing wakes this future when a
            // response ends on a multiplexed connection.
            let next = self.activity.deadline();
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(15));
            self.reading.as_mut().reset(next);
        }
    }

    /// Tracks write progress; fails if there has been none for too long.
    fn taken<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let stall = self.stall;
        let writing =
            self.writing.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        ready!(writing.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimedSocket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, into) {
            Poll::Ready(Ok(())) => {
                if into.filled().len() > before {
                    this.came(&into.filled()[before..]);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(this.poll_reading(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TimedSocket<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.taken(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, bytes);
        this.taken(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
