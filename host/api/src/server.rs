//! The accept loop: what a client may cost before anyone knows who it is.
//!
//! Each connection is one task. It ends when nobody has asked anything for a while, when a request's
//! head does not come to its end, or when what was answered is not taken; nobody else notices.
//! [`serve`] owns no socket and no signal: both are the caller's.

mod activity;
mod connection;
mod watched;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use rustix::net::sockopt;
use skep_protocol::Limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long clients may take, and how much of everything they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time. One more is answered 503 and closed.
    pub connections: usize,
    /// What the system keeps of an answer that is not taken yet, in bytes of each connection. Left to
    /// itself it keeps megabytes, of each client that does not read.
    pub send_buffer_bytes: usize,
    /// From the first byte of a request's head, or of HTTP/2's preface, to its last.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Without a byte of a request's body, and for all of one that is read as a whole.
    pub body: Duration,
    /// Bodies that are read as a whole, of all requests together and while they are read, in bytes. One
    /// more is answered 503. A sixteenth of it is what those have who log in.
    pub bodies_bytes: u64,
    /// Without a byte of an answer being taken.
    pub stall: Duration,
    /// Between two signs of life of a stream of events, and between two looks at whether its reader
    /// may still read.
    pub heartbeat: Duration,
    /// From the signal to shut down to the end of whatever still goes on.
    pub grace: Duration,
    /// One input, at most, whatever its worker's own limit is.
    pub input_bytes: u64,
    /// One component.
    pub component_bytes: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections: 8_192,
            send_buffer_bytes: 256 << 10,
            head: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(30),
            bodies_bytes: 256 << 20,
            stall: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            grace: Duration::from_secs(10),
            // A worker may be allowed more than the default, but no more than fits in a mailbox.
            input_bytes: limits.mailbox_bytes,
            component_bytes: limits.component_bytes,
        }
    }
}

/// The connection that a request came by: an extension of the request.
#[derive(Debug)]
pub(crate) struct Link {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Connections that are open now.
    pub(crate) open: Arc<AtomicUsize>,
    /// Becomes true when the server shuts down: streams that have no end of their own end then.
    pub(crate) closing: watch::Receiver<bool>,
}

impl Link {
    /// That of a request that came by no connection of ours, such as a test's.
    pub(crate) fn none() -> Self {
        Self {
            peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            open: Arc::default(),
            closing: watch::channel(false).1,
        }
    }
}

/// Counts one open connection for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers whoever connects, HTTP/1.1 or HTTP/2 as they like, until `shutdown` is ready. Then
/// streams of events end, what is asked already is answered, and after `grace` the rest is dropped.
///
/// # Errors
/// None at present: a listener that fails is tried again, since there are always two or three
/// connections that can be closed and give back what it lacks.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    shutdown: impl Future,
) -> io::Result<()> {
    let (close, closing) = watch::channel(false);
    let open = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) if open.load(Ordering::Relaxed) >= limits.connections => {
                refuse(&stream)
            }
            Ok((stream, peer)) => {
                if let Err(error) = set_up(&stream, &limits) {
                    tracing::debug!(%error, "a connection was gone before it was served");
                    continue;
                }
                let counted = Open::new(&open);
                let link = Link { peer, open: Arc::clone(&open), closing: closing.clone() };
                let router = router.clone();
                connections.spawn(async move {
                    connection::serve(stream, router, limits, link).await;
                    drop(counted);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Most likely there are too many open files. Turning round at once would only
                // take the time from those who could close theirs.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    close.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tracing::warn!(left = connections.len(), "connections did not end in time");
        connections.shutdown().await;
    }
    Ok(())
}

fn set_up(stream: &TcpStream, limits: &ServerLimits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    Ok(sockopt::set_socket_send_buffer_size(stream, limits.send_buffer_bytes)?)
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Says that there are too many. Whoever does not take it at once does not get it.
fn refuse(stream: &TcpStream) {
    const BODY: &str = r#"{"type":"urn:skep:problem:busy","title":"Busy","status":503,"code":"busy","detail":"there are too many connections; try again later","retry_after_ms":1000}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         retry-after: 1\r\ncache-control: no-store\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    if let Err(error) = stream.try_write(answer.as_bytes()) {
        tracing::debug!(%error, "a connection too many was gone before it was told");
    }
}
