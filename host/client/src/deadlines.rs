//! How long each part of an exchange may take.

use std::time::Duration;

/// See the fields; the defaults are for networks, tests take shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Until there is a connection, the TLS handshake included. 2 s.
    pub connect: Duration,
    /// From the end of the request to the head of the answer, all attempts included; where the
    /// caller waits for an outcome, on top of that wait. 10 s.
    pub headers: Duration,
    /// Between two pieces of a body, either way. 30 s.
    pub body: Duration,
    /// For a whole answer that is read into memory, so that one that drips ends too. 120 s.
    pub answer: Duration,
    /// Between two pieces of an event stream. Servers send a comment each 15 s. 40 s.
    pub silence: Duration,
    /// For how long a stream that lost its server tries to get it back. 60 s.
    pub give_up: Duration,
}

impl Default for Deadlines {
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
