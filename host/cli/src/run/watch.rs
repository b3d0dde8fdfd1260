//! What ends a wait of `skep run`: a signal, or the time that it may take.

use std::io;
use std::time::{Duration, Instant};

use crate::signals::{Signals, StopRequest};

/// Why a wait was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    Stopped(StopRequest),
    Late,
}

/// Bounds every wait of a run.
#[derive(Debug)]
pub(super) struct Watch {
    signals: Signals,
    timeout: Option<Duration>,
}

impl Watch {
    /// Takes the signals over. `timeout` is the operator's `--timeout`.
    pub(super) fn begin(timeout: Option<Duration>) -> io::Result<Self> {
        Ok(Self { signals: Signals::take_over()?, timeout })
    }

    /// When what begins now has to be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeout.and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// Waits for a stop request.
    pub(super) async fn stop_request(&mut self) -> StopRequest {
        self.signals.next().await
    }

    /// Waits for `work`, until `deadline` at most. Work that is given up goes on where it is on a
    /// thread of its own.
    pub(super) async fn over<T>(
        &mut self,
        deadline: Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Result<T, GivenUp> {
        tokio::select! {
            done = work => Ok(done),
            request = self.signals.next() => Err(GivenUp::Stopped(request)),
            () = sleep_until(deadline) => Err(GivenUp::Late),
        }
    }

    /// Waits for what blocks its thread.
    pub(super) async fn over_blocking<T: Send + 'static>(
        &mut self,
        deadline: Option<Instant>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GivenUp> {
        let work = tokio::task::spawn_blocking(work);
        let work = async {
            match work.await {
                Ok(done) => done,
                // It is not cancelled, so it panicked, which is a panic of ours.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        self.over(deadline, work).await
    }
}

/// Sleeps until then, or for ever.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
