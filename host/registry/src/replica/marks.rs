//! Marks of a shared log, by which a host knows how old its state is at most.
//!
//! A mark is acknowledged by most servers, as a change is, so a server that was cut off from the others
//! cannot vouch for an old state. Callers share them: one is on its way at a time, and those that waited for
//! it share its failure too.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skep_protocol::Error;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Age of the last mark up to which no other one is made.
const FRESH: Duration = Duration::from_millis(1_400);

/// Deadline of a mark, and the age up to which a state counts.
const DEADLINE: Duration = Duration::from_secs(2);

/// Interval between marks at least. Strangers can ask for as many as they like, with unknown secrets.
const INTERVAL: Duration = Duration::from_millis(100);

/// The pause that a caller is asked for while the fleet does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The marks that a host makes.
#[derive(Default)]
pub(super) struct Marks {
    /// Notified when one is wanted, and the time at which it is to begin at least.
    asked: Notify,
    wanted: Mutex<Option<Instant>>,
    made: watch::Sender<MadeMarks>,
}

/// The times at which the last marks began.
#[derive(Clone, Copy, Default)]
struct MadeMarks {
    /// The last one that was applied.
    applied: Option<Instant>,
    /// The last one that was not.
    failed: Option<Instant>,
}

impl Marks {
    /// Waits until the state is fresh.
    pub(super) async fn fresh(&self) -> Result<(), Error> {
        let now = Instant::now();
        self.wait(now.checked_sub(FRESH).unwrap_or(now)).await
    }

    /// Waits like [`Self::fresh`], and no longer than a state counts.
    pub(super) async fn still_fresh(&self) -> Result<(), Error> {
        let until = self.made.borrow().applied.unwrap_or_else(Instant::now) + DEADLINE;
        timeout_at(until, self.fresh()).await.unwrap_or(Err(busy()))
    }

    /// Waits for a mark that begins from now on.
    pub(super) async fn catch_up(&self) -> Result<(), Error> {
        self.wait(Instant::now()).await
    }

    /// Waits for a mark that began at that time or later.
    async fn wait(&self, since: Instant) -> Result<(), Error> {
        let is_since = |at: Option<Instant>| at.is_some_and(|at| at >= since);
        // A mark that is made after this look is seen as a change.
        let mut made = self.made.subscribe();
        if is_since(made.borrow_and_update().applied) {
            return Ok(());
        }
        let asked = Instant::now();
        let waiting = async {
            loop {
                self.ask(since);
                if made.changed().await.is_err() {
                    return Err(busy());
                }
                let MadeMarks { applied, failed } = *made.borrow_and_update();
                if is_since(applied) {
                    return Ok(());
                }
                if failed.is_some_and(|failed| failed >= asked) {
                    return Err(busy());
                }
            }
        };
        timeout(DEADLINE + INTERVAL, waiting).await.unwrap_or(Err(busy()))
    }

    fn ask(&self, since: Instant) {
        let mut wanted = self.wanted();
        *wanted = Some(wanted.map_or(since, |wanted| wanted.max(since)));
        self.asked.notify_one();
    }

    fn wanted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes marks whenever they are wanted.
    pub(super) async fn make_all<F>(&self, mark: impl Fn() -> F)
    where
        F: Future<Output = Result<(), Error>>,
    {
        loop {
            self.asked.notified().await;
            let wanted = self.wanted().take();
            // The mark that was on its way may have been enough.
            if wanted <= self.made.borrow().applied {
                continue;
            }
            let began = Instant::now();
            let made = timeout(DEADLINE, mark()).await.unwrap_or(Err(busy()));
            self.made.send_modify(|marks| match made {
                Ok(()) => marks.applied = Some(began),
                Err(_) => marks.failed = Some(began),
            });
            sleep(INTERVAL).await;
        }
    }
}

pub(super) const fn busy() -> Error {
    Error::Busy { retry_after: RETRY_AFTER }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn callers_share_marks_and_their_failures() {
        let marks = Marks::default();
        let (made, works) = (Cell::new(0), Cell::new(true));
        let making = marks.make_all(|| async {
            made.set(made.get() + 1);
            match works.get() {
                true => Ok(()),
                false => std::future::pending().await,
            }
        });
        let asking = async {
            for _ in 0..100 {
                assert_eq!(marks.fresh().await, Ok(()));
            }
            assert_eq!(made.get(), 1);
            sleep(FRESH + Duration::from_millis(1)).await;
            assert_eq!(marks.fresh().await, Ok(()));
            assert_eq!(made.get(), 2);
            assert_eq!(marks.catch_up().await, Ok(()));
            works.set(false);
            sleep(FRESH + INTERVAL).await;
            let asked = Instant::now();
            let all = futures_util::future::join_all((0..100).map(|_| marks.fresh())).await;
            assert!(all.iter().all(Result::is_err), "{all:?}");
            assert!(asked.elapsed() <= 2 * DEADLINE, "{:?}", asked.elapsed());
            works.set(true);
            sleep(2 * DEADLINE).await;
            assert_eq!(marks.fresh().await, Ok(()));
        };
        tokio::select! {
            () = making => {}
            () = asking => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_counts_for_two_seconds_while_no_mark_is_made() {
        let marks = Marks::default();
        let works = Cell::new(true);
        let making = marks.make_all(|| async {
            if !works.get() {
                std::future::pending::<()>().await;
            }
            Ok(())
        });
        let asking = async {
            marks.fresh().await.unwrap();
            let began = Instant::now();
            works.set(false);
            while marks.still_fresh().await.is_ok() {
                sleep(Duration::from_millis(500)).await;
            }
            assert!(began.elapsed() <= DEADLINE, "{:?}", began.elapsed());
        };
        tokio::select! {
            () = making => {}
            () = asking => {}
        }
    }
}
