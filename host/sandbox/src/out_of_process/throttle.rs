//! Throttling of a child by CPU slots: it computes while it holds one, like a guest in the host's
//! process, and is stopped while it waits for one.
//!
//! The child is untrusted and does not take part. The host samples its CPU time, less often the
//! longer it is idle, and stops and continues it with signals.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use crate::limits::slots::{Claim, Share};

/// Interval between two samples of a child that computes.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);

/// Longest interval between two samples of an idle child.
const IDLE_SAMPLE_INTERVAL: Duration = Duration::from_millis(64);

/// A child counts as idle if it used less CPU time between two samples than this and a fiftieth of
/// the interval: its own clock uses that much for a guest that sleeps. The bound is not higher,
/// because each of many children that compute without a slot gets little of a core.
const IDLE_CPU: Duration = Duration::from_micros(200);
const IDLE_FRACTION: u32 = 50;

/// A child that can be stopped and continued, and a clock.
pub(super) trait Throttled {
    /// Returns the child's CPU time.
    fn cpu(&self) -> Duration;

    /// Stops the child.
    fn halt(&self);

    /// Continues the child.
    fn resume(&self);

    /// Returns the current time.
    fn now(&self) -> Instant;

    /// Waits.
    async fn pause(&self, time: Duration);
}

/// Throttles a child from its start on. When this future is dropped, the child stays as it is,
/// stopped or not.
pub(super) async fn throttle(child: &impl Throttled, share: &Share) -> Infallible {
    let mut computed = Duration::ZERO;
    let mut computes = async |pause: Duration| {
        // Measure from here, because the child cannot compute while it is stopped.
        let began = child.now();
        child.pause(pause).await;
        let took = child.now() - began;
        let more = child.cpu().saturating_sub(computed);
        computed += more;
        // A compromised child may compute on several threads.
        share.charge(more.saturating_sub(took));
        more >= IDLE_CPU + pause / IDLE_FRACTION
    };
    let mut pause = SAMPLE_INTERVAL;
    loop {
        if !computes(pause).await {
            pause = (pause * 2).min(IDLE_SAMPLE_INTERVAL);
            continue;
        }
        pause = SAMPLE_INTERVAL;
        let mut claim = share.claim();
        wait(child, &mut claim).await;
        while computes(SAMPLE_INTERVAL).await {
            if share.has_exceeded_share() {
                child.halt();
                claim.release();
                wait(child, &mut claim).await;
            }
        }
    }
}

/// Stops a child until it has a slot.
async fn wait(child: &impl Throttled, claim: &mut Claim<'_>) {
    let mut halted = false;
    poll_fn(|cx| {
        let acquired = claim.poll_acquire(cx);
        if acquired.is_pending() && !std::mem::replace(&mut halted, true) {
            child.halt();
        }
        acquired
    })
    .await;
    child.resume();
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::limits::slots::{CpuSlots, tests::NOW};

    const MILLI: u64 = 1_000_000;

    /// Simulated time between two steps, in nanoseconds.
    const STEP: u64 = 100_000;

    /// Simulated time of one test, in nanoseconds.
    const ALL: u64 = 10_000 * MILLI;

    /// The epoch tick, at which a guest in the host's process checks if it should yield.
    const TICK: Duration = Duration::from_millis(5);

    fn now() -> u64 {
        NOW.get().unwrap_or_default()
    }

    /// A child that always computes, on a machine with simulated time. All children that are not
    /// stopped run at once, so only the throttle limits them.
    struct Spinner {
        began: Instant,
        threads: u64,
        runs: Cell<bool>,
        /// The time for which it was not stopped, and its CPU time, in nanoseconds.
        had: Cell<u64>,
        computed: Cell<u64>,
    }

    impl Spinner {
        fn new(threads: u64, runs: bool) -> Self {
            let began = Instant::now();
            let [had, computed] = [0; 2].map(Cell::new);
            Self { began, threads, runs: Cell::new(runs), had, computed }
        }

        /// Returns its CPU time as a fraction of one core.
        fn part(&self) -> f64 {
            self.computed.get() as f64 / ALL as f64
        }
    }

    impl Throttled for Spinner {
        fn cpu(&self) -> Duration {
            Duration::from_nanos(self.computed.get())
        }

        fn halt(&self) {
            self.runs.set(false);
        }

        fn resume(&self) {
            self.runs.set(true);
        }

        fn now(&self) -> Instant {
            self.began + Duration::from_nanos(now())
        }

        async fn pause(&self, time: Duration) {
            let until = self.now() + time;
            let is_over = |_: &mut Context<'_>| match self.now() >= until {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
            poll_fn(is_over).await;
        }
    }

    /// Simulates a guest in the host's process, which checks at each tick if it should yield.
    async fn compute(guest: &Spinner, share: &Share) -> Infallible {
        let mut claim = share.claim();
        loop {
            poll_fn(|cx| claim.poll_acquire(cx)).await;
            guest.resume();
            while !share.has_exceeded_share() {
                guest.pause(TICK).await;
            }
            guest.halt();
            claim.release();
        }
    }

    /// Simulates guests that share one slot, while each running thread gets the fraction
    /// `of_a_core`. The first is a guest in the host's process, the others are children.
    fn share_one_slot(all: &[Spinner], of_a_core: f64) {
        NOW.set(Some(0));
        let slots = CpuSlots::new(1);
        let shares: Vec<_> = all.iter().map(|_| slots.share()).collect();
        let each = all.iter().zip(&shares).enumerate();
        let mut held: Vec<Pin<Box<dyn Future<Output = Infallible> + '_>>> = each
            .map(|(at, (spinner, share))| match at {
                0 => Box::pin(compute(spinner, share)) as Pin<Box<dyn Future<Output = _>>>,
                _ => Box::pin(throttle(spinner, share)),
            })
            .collect();
        while now() < ALL {
            for one in &mut held {
                let Poll::Pending = one.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            for spinner in all.iter().filter(|spinner| spinner.runs.get()) {
                let computed = (STEP * spinner.threads) as f64 * of_a_core;
                spinner.had.set(spinner.had.get() + STEP);
                spinner.computed.set(spinner.computed.get() + computed as u64);
            }
            NOW.set(Some(now() + STEP));
        }
        // Release the claims before the simulated clock is removed.
        drop(held);
        NOW.set(None);
    }

    fn crowd(children: &[u64]) -> Vec<Spinner> {
        let children = children.iter().map(|threads| Spinner::new(*threads, true));
        std::iter::once(Spinner::new(1, false)).chain(children).collect()
    }

    #[test]
    fn children_get_a_fair_share_of_the_cores() {
        let all = crowd(&[1, 1, 1]);
        share_one_slot(&all, 1.0);
        let parts: Vec<_> = all.iter().map(Spinner::part).collect();
        assert!(parts.iter().sum::<f64>() < 1.1, "more than one core was used: {parts:?}");
        assert!(parts.iter().all(|part| (0.2..0.3).contains(part)), "{parts:?}");
    }

    #[test]
    fn a_child_with_many_threads_gets_no_larger_share() {
        let all = crowd(&[1, 4]);
        share_one_slot(&all, 1.0);
        let parts: Vec<_> = all.iter().map(Spinner::part).collect();
        assert!(parts.iter().all(|part| (0.2..0.5).contains(part)), "{parts:?}");
    }

    /// A child that gets less of a core than it could use must not be compensated at the expense of
    /// others that get as little.
    #[test]
    fn on_a_busy_machine_children_run_for_equal_times() {
        let all = crowd(&[1, 1, 1]);
        share_one_slot(&all, 0.3);
        let had: Vec<_> = all.iter().map(|one| one.had.get() as f64 / ALL as f64).collect();
        assert!(had.iter().all(|part| (0.2..0.3).contains(part)), "{had:?}");
    }
}
