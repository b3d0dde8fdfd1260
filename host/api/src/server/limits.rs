//! Limits on clients.

use std::time::Duration;

use skep_protocol::Limits;

/// Timeouts and quotas of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Maximum number of connections. Further ones are answered 503 and closed.
    pub connections: usize,
    /// Send buffer of each connection, in bytes. The system's default buffers megabytes for every
    /// client that does not read.
    pub send_buffer_bytes: usize,
    /// Timeout for the head of a request, or the preface of HTTP/2.
    pub head: Duration,
    /// Timeout between requests.
    pub idle: Duration,
    /// Timeout between two pieces of a request body, and for a whole one that is read into memory.
    pub body: Duration,
    /// Total size of request bodies in memory, in bytes. Beyond it requests are answered 503.
    /// Logins have a separate quota of a sixteenth of it.
    pub bodies_bytes: u64,
    /// Timeout for a client that does not read a response.
    pub stall: Duration,
    /// Interval of comments in an event stream, and of checks that its reader is still authorized.
    pub heartbeat: Duration,
    /// Time from the shutdown signal until open connections are dropped.
    pub grace: Duration,
    /// Maximum size of an input in bytes, independent of the worker's own limit.
    pub input_bytes: u64,
    /// Maximum size of a component in bytes.
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
            // A worker's limit may exceed the default, but an input must fit in a mailbox.
            input_bytes: limits.mailbox_bytes,
            component_bytes: limits.component_bytes,
        }
    }
}
