//! Timeouts of a client.

use std::time::Duration;

/// Timeouts of a client. The defaults suit networks; tests use shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientDeadlines {
    /// Connecting, including the TLS handshake. 2 s.
    pub connect: Duration,
    /// From the end of the request to the head of the response, over all attempts; added to the
    /// time that the caller waits for an outcome. 10 s.
    pub headers: Duration,
    /// Between two pieces of a body, in both directions. 30 s.
    pub body: Duration,
    /// Reading a whole response into memory; bounds one that trickles. 120 s.
    pub answer: Duration,
    /// Between two pieces of an event stream; servers send a comment every 15 s. 40 s.
    pub silence: Duration,
    /// Reconnecting a lost stream. 60 s.
    pub give_up: Duration,
}

impl Default for ClientDeadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            headers: Duration::from_secs(10),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(120),
            silence: Duration::from_secs(40),
            give_up: Duration::from_secs(60),
        }
    }
}
