//! The sources of a server's connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::limits::ServerLimits;

/// A source of connections: a socket, or streams of another kind.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. The address is that of the client, by which wrong tokens are
    /// counted. The server drops the future whenever a connection ends, which must lose none.
    ///
    /// # Errors
    /// If the connection failed, or none can be accepted now.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Makes a new connection ready.
    ///
    /// # Errors
    /// If the connection has failed.
    fn set_up(_stream: &Self::Stream, _limits: &ServerLimits) -> io::Result<()> {
        Ok(())
    }

    /// Answers a connection over the limit, if that takes no time.
    fn refuse(_stream: &Self::Stream, _answer: &str) {}
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }

    fn set_up(stream: &TcpStream, limits: &ServerLimits) -> io::Result<()> {
        stream.set_nodelay(true)?;
        Ok(sockopt::set_socket_send_buffer_size(stream, limits.send_buffer_bytes)?)
    }

    fn refuse(stream: &TcpStream, answer: &str) {
        if let Err(error) = stream.try_write(answer.as_bytes()) {
            tracing::debug!(%error, "a connection over the limit closed before it was answered");
        }
    }
}
