//! A byte stream over NATS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frame::StreamFrame;
use crate::hub::{Hub, OpenLink};

/// A byte stream over NATS, ordered and with backpressure. A lost message breaks it. Dropping it tells
/// the other end.
#[derive(Debug)]
pub struct NatsStream {
    hub: Arc<Hub>,
    open: OpenLink,
}

impl NatsStream {
    pub(crate) fn new(hub: Arc<Hub>, open: OpenLink) -> Self {
        Self { hub, open }
    }
}

impl AsyncRead for NatsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let (data, tell) = ready!(self.open.link.poll_read(context, buffer.remaining()))?;
        buffer.put_slice(&data);
        if let Some(frame) = tell {
            self.hub.send(&self.open, frame.encode());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for NatsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (bytes, number) = ready!(self.open.link.poll_send(context, data.len()))?;
        self.hub.send(&self.open, StreamFrame::encode_data(number, &data[..bytes]));
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(frame) = self.open.link.shut() {
            self.hub.send(&self.open, frame.encode());
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for NatsStream {
    fn drop(&mut self) {
        self.hub.close(&self.open);
    }
}
