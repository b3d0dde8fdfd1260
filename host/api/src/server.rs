//! The accept loop, which bounds the cost of unauthenticated clients.
//!
//! Each connection is one task. It ends if it is idle too long, if a request's head takes too long,
//! or if the client stops reading a response. No other connection is affected. [`serve`] owns
//! neither socket nor signal: both belong to the caller.

mod activity;
mod connection;
mod connection_info;
mod limits;
mod listener;
mod timed_socket;
mod tls;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::connection_info::ConnectionInfo;
pub use self::limits::ServerLimits;
pub use self::listener::Listener;
pub use self::tls::{TlsIdentity, TlsIdentityError};

/// Counts one open connection until dropped.
struct OpenConnection(Arc<AtomicUsize>);

impl OpenConnection {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts connections, HTTP/1.1 or HTTP/2, until `shutdown` is ready. Then event streams end,
/// requests in flight are answered, and connections still open after `grace` are dropped.
///
/// # Errors
/// None at present: a failing accept is retried, because closing connections frees the resources it
/// needs.
pub async fn serve(
    listener: impl Listener,
    router: Router,
    limits: ServerLimits,
    shutdown: impl Future,
) -> io::Result<()> {
    serve_all(listener, None, router, limits, shutdown).await
}

/// Does the same over TLS. A client gets as much time for its handshake as for the head of a request.
///
/// # Errors
/// Those of [`serve`].
pub async fn serve_tls(
    listener: impl Listener,
    identity: TlsIdentity,
    router: Router,
    limits: ServerLimits,
    shutdown: impl Future,
) -> io::Result<()> {
    serve_all(listener, Some(identity), router, limits, shutdown).await
}

async fn serve_all<L: Listener>(
    mut listener: L,
    identity: Option<TlsIdentity>,
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
                // Over TLS there is no answer without a handshake.
                if identity.is_none() {
                    L::refuse(&stream, &over_limit());
                }
            }
            Ok((stream, peer)) => {
                if let Err(error) = L::set_up(&stream, &limits) {
                    tracing::debug!(%error, "connection closed before it was served");
                    continue;
                }
                let counted = OpenConnection::new(&open);
                let (open, closing) = (Arc::clone(&open), closing.clone());
                let link = ConnectionInfo { peer, is_tls: identity.is_some(), open, closing };
                let (router, identity) = (router.clone(), identity.clone());
                connections.spawn(async move {
                    match identity {
                        None => connection::serve(stream, router, limits, link).await,
                        Some(identity) => match identity.accept(stream, limits.head).await {
                            Ok(stream) => connection::serve(stream, router, limits, link).await,
                            Err(error) => tracing::debug!(%error, "no TLS connection"),
                        },
                    }
                    drop(counted);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Most likely there are too many open files. Retrying at once would take time from
                // the tasks that could close theirs.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    close.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all).await.is_err() {
        tracing::warn!(left = connections.len(), "connections did not end within the grace period");
        connections.shutdown().await;
    }
    Ok(())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Returns the 503 of a connection over the limit.
fn over_limit() -> String {
    const BODY: &str = r#"{"type":"urn:skep:problem:busy","title":"Busy","status":503,"code":"busy","detail":"too many connections; try again later","retry_after_ms":1000}"#;
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         retry-after: 1\r\ncache-control: no-store\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}
