//! Ctrl-C and SIGTERM as values.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

/// A request to stop, from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopRequest {
    CtrlC,
    Terminate,
}

impl StopRequest {
    /// The exit code of a command that this stopped.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::CtrlC => exit::INTERRUPTED,
            Self::Terminate => exit::TERMINATED,
        }
    }
}

/// Receives stop requests. From its making on they do not end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes both signals over.
    pub(crate) fn take_over() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next request. Safe to cancel.
    pub(crate) async fn next(&mut self) -> StopRequest {
        tokio::select! {
            _ = self.interrupt.recv() => StopRequest::CtrlC,
            _ = self.terminate.recv() => StopRequest::Terminate,
        }
    }
}
