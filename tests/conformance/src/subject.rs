//! What the suite needs of whoever it tests.

use std::sync::Arc;

use async_trait::async_trait;
use skep_protocol::RuntimeHandle;

/// The components that the suite feeds to a runtime. `tests/guests` and `examples` have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// A service whose input is a command in text.
    Scribe,
    /// A service that answers with its input.
    Echo,
    /// A command that prints its arguments and environment, and exits as it is told.
    Hello,
    /// A command that does one thing to the host.
    Probe,
}

impl Guest {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scribe, Self::Echo, Self::Hello, Self::Probe];

    /// Its name among the built guests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scribe => "scribe",
            Self::Echo => "echo",
            Self::Hello => "hello",
            Self::Probe => "probe",
        }
    }
}

/// How a runtime goes down before it comes up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// In order, with its grace time.
    Clean,
    /// As if its process had been killed: at once, and without a word to disk.
    Crash,
}

/// One runtime with a store of its own. Each case has a fresh one, with nothing in it.
///
/// It is made, used and dropped on one tokio runtime with two threads, and dropped outside of its
/// tasks, where blocking is allowed.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The runtime as it is now open. The suite holds it for one call and lets go.
    fn runtime(&self) -> Arc<dyn RuntimeHandle>;

    /// Goes down and comes up on the same store. Streams from before may be still held. Only the
    /// cases of `restarts` call this.
    async fn restart(&self, how: Restart) {
        panic!("this subject does not restart ({how:?}): leave the cases out, `without restarts`");
    }

    /// The component of a guest.
    fn wasm(&self, guest: Guest) -> Vec<u8>;
}
