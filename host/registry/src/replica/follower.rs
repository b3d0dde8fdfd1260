//! The reader of a shared log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use skep_protocol::Error;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::applier::Applier;
use super::marks::busy;
use crate::RegistryError;
use crate::shared_log::{LogItem, SharedLog};

/// Pause after an error of the log.
const PAUSE: Duration = Duration::from_millis(500);

/// Maximum number of items per transaction.
const BATCH: usize = 256;

/// Time that a mark has to come back. It is below the deadline of a mark, so that this is noticed.
const BACK: Duration = Duration::from_millis(1_800);

/// Reads a log, and has it applied.
pub(super) struct Follower {
    log: Arc<dyn SharedLog>,
    applier: Arc<Applier>,
    /// Notified to begin anew.
    stalled: Notify,
}

/// The reason why a log is not followed for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FollowError {
    #[error("the connection has ended")]
    Ended,
    #[error("what was acknowledged has not come")]
    Stalled,
    #[error("{0}")]
    Log(#[from] Error),
    #[error("{0}")]
    Own(#[from] RegistryError),
}

impl Follower {
    pub(super) fn new(log: Arc<dyn SharedLog>, applier: Arc<Applier>) -> Self {
        Self { log, applier, stalled: Notify::new() }
    }

    /// Appends a mark, and waits until it is applied.
    pub(super) async fn mark(&self) -> Result<(), Error> {
        let before = self.applier.applied();
        let number = self.log.mark().await?;
        if before.is_some_and(|before| number <= before) {
            // The log was set back. What this file has may be in no other.
            self.stalled.notify_one();
            return Err(busy());
        }
        let reached = timeout(BACK, self.applier.reach(number)).await;
        if reached.is_err() && self.applier.applied() == before {
            // The log has more than its reader was given.
            self.stalled.notify_one();
        }
        reached.unwrap_or(Err(busy()))
    }

    /// Follows the log without end.
    pub(super) async fn follow(&self) {
        let mut failed = None;
        loop {
            // A notice from before is not about this reader.
            let _ = self.stalled.notified().now_or_never();
            let error = match self.begin().await {
                Ok(after) => {
                    let items = self.log.follow(after).ready_chunks(BATCH);
                    tokio::select! {
                        error = self.apply_all(items, &mut failed) => error,
                        () = self.stalled.notified() => FollowError::Stalled,
                    }
                }
                Err(error) => error,
            };
            let error = match self.applier.forget().await {
                Ok(()) => error,
                Err(error) => error.into(),
            };
            // Servers that elect a leader do not answer for some seconds, which is no news each time.
            if failed.as_ref() != Some(&error) {
                tracing::warn!(%error, "the fleet's log cannot be followed");
                failed = Some(error);
            }
            sleep(PAUSE).await;
        }
    }

    /// Checks that the log is the one that the file follows, and returns the number after which to read.
    async fn begin(&self) -> Result<u64, FollowError> {
        let identity = self.log.identity().await?;
        Ok(self.applier.begin(identity).await?)
    }

    async fn apply_all(
        &self,
        mut batches: impl Stream<Item = Vec<Result<LogItem, Error>>> + Unpin,
        failed_before: &mut Option<FollowError>,
    ) -> FollowError {
        while let Some(batch) = batches.next().await {
            let mut items = Vec::with_capacity(batch.len());
            let mut failed = None;
            for item in batch {
                match item {
                    Ok(item) => items.push(item),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            if !items.is_empty() {
                if let Err(error) = self.applier.apply(items).await {
                    return error.into();
                }
                *failed_before = None;
            }
            if let Some(error) = failed {
                return error.into();
            }
        }
        FollowError::Ended
    }
}
