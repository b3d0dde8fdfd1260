//! What waits for its turn's commit, and for no longer than 5 ms.
//!
//! A turn that is done by then is one commit: its input, its events and its outcome together. For
//! those that take longer a task of the host flushes what they have so far; it cannot be the turn's
//! own task, which a computing guest keeps busy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The longest that anything waits for its turn's end.
pub(crate) const COMMIT_DELAY: Duration = Duration::from_millis(5);

/// A turn whose writes can be sent to the store before it ends.
pub(crate) trait Flush: Send + Sync {
    /// Submits what the turn has written so far, unless it has ended.
    fn flush(self: Arc<Self>);
}

/// The turns with something to flush, by when it is due.
#[derive(Default)]
pub(crate) struct CommitDelay {
    due: Mutex<VecDeque<(Instant, Weak<dyn Flush>)>>,
    some: Notify,
}

impl CommitDelay {
    /// Has a turn flushed in 5 ms. If it has ended by then, nothing happens.
    pub(crate) fn delay(&self, log: Weak<dyn Flush>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = due.is_empty();
        due.push_back((Instant::now() + COMMIT_DELAY, log));
        drop(due);
        if first {
            self.some.notify_one();
        }
    }

    /// Flushes what is due, for ever.
    pub(crate) async fn serve(self: Arc<Self>) {
        loop {
            let next = {
                let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                due.front().map(|(at, _)| *at)
            };
            let Some(at) = next else {
                self.some.notified().await;
                continue;
            };
            tokio::time::sleep_until(at.into()).await;
            let now = Instant::now();
            let flush: Vec<_> = {
                let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                let ready = due.iter().take_while(|(at, _)| *at <= now).count();
                due.drain(..ready).filter_map(|(_, log)| log.upgrade()).collect()
            };
            for log in flush {
                log.flush();
            }
        }
    }
}
