//! The limits of each wait in `skep run`: stop requests and `--timeout`.

use std::io;
use std::time::{Duration, Instant};

use crate::signals::{Signals, StopRequest};

/// The reason that a wait ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// A signal arrived.
    Stopped(StopRequest),
    /// The deadline passed.
    Late,
}

/// A bound on every wait of a run.
#[derive(Debug)]
pub(super) struct Watch {
    signals: Signals,
    timeout: Option<Duration>,
}

impl Watch {
    /// Takes over the signals. `timeout` is the operator's `--timeout`.
    pub(super) fn begin(timeout: Option<Duration>) -> io::Result<Self> {
        Ok(Self { signals: Signals::take_over()?, timeout })
    }

    /// Returns the deadline of work that begins now.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// Waits for a stop request.
    pub(super) async fn stop_request(&mut self) -> StopRequest {
        self.signals.next().await
    }

    /// Waits for `work` until `deadline` at the latest. Work that runs on a thread of its own
    /// continues after an interruption.
    pub(super) async fn over<T>(
        &mut self,
        deadline: Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        tokio::select! {
            done = work => Ok(done),
            request = self.signals.next() => Err(Interrupted::Stopped(request)),
            () = sleep_until(deadline) => Err(Interrupted::Late),
        }
    }

    /// Runs blocking `work` on another thread and waits for it like [`over`](Self::over).
    pub(super) async fn over_blocking<T: Send + 'static>(
        &mut self,
        deadline: Option<Instant>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let work = tokio::task::spawn_blocking(work);
        let work = async {
            match work.await {
                Ok(done) => done,
                // The task is never cancelled, so it panicked.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        self.over(deadline, work).await
    }
}

/// Sleeps until `at`, or forever if there is no such time.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
