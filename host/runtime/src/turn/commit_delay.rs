//! Group commit: delays a turn's writes for up to 5 ms, so that they share the turn's final commit.
//!
//! A turn that ends within the delay is a single commit of its input, events and outcome. For
//! longer turns a host task flushes what they have written so far. The turn's own task cannot do
//! that, because a computing guest blocks it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Maximum time that a write waits for the end of its turn.
pub(crate) const COMMIT_DELAY: Duration = Duration::from_millis(5);

/// A turn whose writes can be submitted before it ends.
pub(crate) trait Flush: Send + Sync {
    /// Submits what the turn has written so far, unless it has ended.
    fn flush(self: Arc<Self>);
}

/// The turns with unsubmitted writes, ordered by due time.
#[derive(Default)]
pub(crate) struct CommitDelay {
    due: Mutex<VecDeque<(Instant, Weak<dyn Flush>)>>,
    some: Notify,
}

impl CommitDelay {
    /// Schedules a flush in 5 ms. It does nothing if the turn has ended by then.
    pub(crate) fn delay(&self, log: Weak<dyn Flush>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = due.is_empty();
        due.push_back((Instant::now() + COMMIT_DELAY, log));
        drop(due);
        if first {
            self.some.notify_one();
        }
    }

    /// Flushes due turns in an endless loop.
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
