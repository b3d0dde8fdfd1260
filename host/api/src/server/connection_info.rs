//! The connection of a request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;

/// The connection of a request, as an extension of the request.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// Address of the client.
    pub(crate) peer: SocketAddr,
    /// True if the client speaks TLS with this server.
    pub(crate) is_tls: bool,
    /// Number of open connections.
    pub(crate) open: Arc<AtomicUsize>,
    /// True once the server shuts down, which ends event streams.
    pub(crate) closing: watch::Receiver<bool>,
}

impl ConnectionInfo {
    /// Creates one for a request without a connection, such as a test's.
    pub(crate) fn none() -> Self {
        Self {
            peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            is_tls: false,
            open: Arc::default(),
            closing: watch::channel(false).1,
        }
    }
}
