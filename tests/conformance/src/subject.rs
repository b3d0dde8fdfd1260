//! The interface that a runtime under test implements.

use std::sync::Arc;

use async_trait::async_trait;
use skep_protocol::RuntimeHandle;

/// The components that the suite stores. They are built from `tests/guests` and `examples`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// A service whose input is a text command.
    Scribe,
    /// A service that answers with its input.
    Echo,
    /// A command that prints its arguments and environment, with a given exit code.
    Hello,
    /// A command with verbs that each exercise one host function.
    Probe,
    /// An HTTP worker that does what the path says.
    Responder,
}

impl Guest {
    /// All guests.
    pub const ALL: [Self; 5] =
        [Self::Scribe, Self::Echo, Self::Hello, Self::Probe, Self::Responder];

    /// Returns the name of the built guest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scribe => "scribe",
            Self::Echo => "echo",
            Self::Hello => "hello",
            Self::Probe => "probe",
            Self::Responder => "responder",
        }
    }
}

/// The ways to restart a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A shutdown with its grace time.
    Clean,
    /// A kill of the process: at once and without a further write.
    Crash,
}

/// One runtime with a store of its own. Each case gets a new, empty one.
///
/// It is made, used and dropped on one tokio runtime with two threads, and dropped outside of its
/// tasks, where blocking is allowed.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Returns the runtime that is now open. The suite drops it after one call.
    fn runtime(&self) -> Arc<dyn RuntimeHandle>;

    /// Restarts on the same store. Streams from before may still exist. Only the cases of
    /// `restarts` call this.
    async fn restart(&self, how: Restart) {
        panic!("this subject does not restart ({how:?}); omit those cases with `without restarts`");
    }

    /// Returns the component of a guest.
    fn wasm(&self, guest: Guest) -> Vec<u8>;
}
