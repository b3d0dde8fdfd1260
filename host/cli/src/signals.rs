//! Ctrl-C and SIGTERM as stop requests.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

/// A signal that requests this process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopRequest {
    CtrlC,
    Terminate,
}

impl StopRequest {
    /// Returns the exit code of a command that this request stopped.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::CtrlC => exit::INTERRUPTED,
            Self::Terminate => exit::TERMINATED,
        }
    }
}

/// A receiver of stop requests. Once it exists, the signals no longer end the process.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over both signals.
    pub(crate) fn take_over() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next request. Cancel safe.
    pub(crate) async fn next(&mut self) -> StopRequest {
        tokio::select! {
            _ = self.interrupt.recv() => StopRequest::CtrlC,
            _ = self.terminate.recv() => StopRequest::Terminate,
        }
    }
}
