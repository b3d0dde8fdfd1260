//! Connections that are not made by name and port.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection to a server.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// A connection that is being made.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

/// Connects to one server.
pub trait Dial: Send + Sync {
    /// Makes a connection. The client has a deadline for it.
    fn dial(&self) -> Dialing;
}

/// A connection to a server, by either way.
pub(crate) enum ServerIo {
    Network(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    Dialed(TokioIo<Box<dyn ByteStream>>),
}

impl Connection for ServerIo {
    fn connected(&self) -> Connected {
        match self {
            Self::Network(io) => io.connected(),
            Self::Dialed(_) => Connected::new(),
        }
    }
}

impl Read for ServerIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(io) => Pin::new(io).poll_read(context, buffer),
            Self::Dialed(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl Write for ServerIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(io) => Pin::new(io).poll_write(context, data),
            Self::Dialed(io) => Pin::new(io).poll_write(context, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Network(io) => Pin::new(io).poll_write_vectored(context, data),
            Self::Dialed(io) => Pin::new(io).poll_write_vectored(context, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Network(io) => io.is_write_vectored(),
            Self::Dialed(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(io) => Pin::new(io).poll_flush(context),
            Self::Dialed(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Network(io) => Pin::new(io).poll_shutdown(context),
            Self::Dialed(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
