//! A child's part in the CPU slots: it computes while it has one, like a guest in the host's own
//! process, and stands still while it waits for one.
//!
//! It is not asked: what it says is a stranger's word. The host looks at how long it has computed, the
//! more rarely the longer that is nothing, and stops and continues it from outside.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use crate::limits::slots::{Claim, Share};

/// Between two looks at a child that computes.
const LOOK: Duration = Duration::from_millis(2);

/// Between two looks at one that has not computed for long.
const SELDOM: Duration = Duration::from_millis(64);

/// Computing less than this between two looks is none, and less than a fiftieth of the time between
/// them: its own clock computes that much for a guest that sleeps. It is not more, since where many
/// compute without a slot, each has little of a core.
const NOTHING: Duration = Duration::from_micros(200);
const LITTLE: u32 = 50;

/// A child that is held in, and the clock that it is looked at by.
pub(super) trait Throttled {
    /// For how long it has computed.
    fn cpu(&self) -> Duration;

    /// Has it stand still.
    fn halt(&self);

    /// Has it go on.
    fn resume(&self);

    /// What time it is.
    fn now(&self) -> Instant;

    /// Lets time pass.
    async fn pause(&self, time: Duration);
}

/// Holds a child in, from its start on. Whoever drops this lets it stand as it stands.
pub(super) async fn throttle(child: &impl Throttled, share: &Share) -> Infallible {
    let mut computed = Duration::ZERO;
    let mut computes = async |pause: Duration| {
        // Without the time for which it stood still before: that is none that it may compute in.
        let began = child.now();
        child.pause(pause).await;
        let took = child.now() - began;
        let more = child.cpu().saturating_sub(computed);
        computed += more;
        // One that was taken over may compute on several threads.
        share.owe(more.saturating_sub(took));
        more >= NOTHING + pause / LITTLE
    };
    let mut pause = LOOK;
    loop {
        if !computes(pause).await {
            pause = (pause * 2).min(SELDOM);
            continue;
        }
        pause = LOOK;
        let mut claim = share.claim();
        wait(child, &mut claim).await;
        while computes(LOOK).await {
            if share.is_past_its_turn() {
                child.halt();
                claim.release();
                wait(child, &mut claim).await;
            }
        }
    }
}

/// Has a child stand still until it has a slot.
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

    /// What is between two moments of the machine, in nanoseconds.
    const STEP: u64 = 100_000;

    /// How long it is looked at, in nanoseconds.
    const ALL: u64 = 10_000 * MILLI;

    /// The epoch's tick, at which a guest of the host's own process looks up.
    const TICK: Duration = Duration::from_millis(5);

    fn now() -> u64 {
        NOW.get().unwrap_or_default()
    }

    /// Somebody who always wants to compute, on a machine with time of its own: as many of them run
    /// at once as are not halted, which is what slots are to prevent.
    struct Spinner {
        began: Instant,
        threads: u64,
        runs: Cell<bool>,
        /// For how long it was let run, and computed, in nanoseconds.
        had: Cell<u64>,
        computed: Cell<u64>,
    }

    impl Spinner {
        fn new(threads: u64, runs: bool) -> Self {
            let began = Instant::now();
            let [had, computed] = [0; 2].map(Cell::new);
            Self { began, threads, runs: Cell::new(runs), had, computed }
        }

        /// What it computed, of one core.
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

    /// A guest of the host's own process, which looks up at each tick.
    async fn compute(guest: &Spinner, share: &Share) -> Infallible {
        let mut claim = share.claim();
        loop {
            poll_fn(|cx| claim.poll_acquire(cx)).await;
            guest.resume();
            while !share.is_past_its_turn() {
                guest.pause(TICK).await;
            }
            guest.halt();
            claim.release();
        }
    }

    /// Has all of them compute on one slot of a machine, of whose cores each thread that runs gets
    /// so much: the first is a guest of the host's own process, the others are children.
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
        // Its claims are given up by the same clock.
        drop(held);
        NOW.set(None);
    }

    fn crowd(children: &[u64]) -> Vec<Spinner> {
        let children = children.iter().map(|threads| Spinner::new(*threads, true));
        std::iter::once(Spinner::new(1, false)).chain(children).collect()
    }

    #[test]
    fn processes_have_their_part_of_the_cores_and_no_more() {
        let all = crowd(&[1, 1, 1]);
        share_one_slot(&all, 1.0);
        let parts: Vec<_> = all.iter().map(Spinner::part).collect();
        assert!(parts.iter().sum::<f64>() < 1.1, "one core is all that there is: {parts:?}");
        assert!(parts.iter().all(|part| (0.2..0.3).contains(part)), "{parts:?}");
    }

    #[test]
    fn a_process_that_computes_on_many_threads_has_no_more_than_others() {
        let all = crowd(&[1, 4]);
        share_one_slot(&all, 1.0);
        let parts: Vec<_> = all.iter().map(Spinner::part).collect();
        assert!(parts.iter().all(|part| (0.2..0.5).contains(part)), "{parts:?}");
    }

    /// What the machine gives to others is not made up for at the cost of those who have as little.
    #[test]
    fn on_a_busy_machine_processes_are_let_run_for_equal_times() {
        let all = crowd(&[1, 1, 1]);
        share_one_slot(&all, 0.3);
        let had: Vec<_> = all.iter().map(|one| one.had.get() as f64 / ALL as f64).collect();
        assert!(had.iter().all(|part| (0.2..0.3).contains(part)), "{had:?}");
    }
}
