//! Properties of the slots under arbitrary sequences of claims.

use futures_util::task::noop_waker;
use proptest::prelude::*;

use super::tests::NOW;
use super::*;

/// One step of a schedule: which guest acts, and how long it computes if it holds a slot.
fn steps() -> impl Strategy<Value = Vec<(usize, u64)>> {
    prop::collection::vec((0..8usize, 1..20_000_000u64), 1..200)
}

proptest! {
    #[test]
    fn slots_are_never_overcommitted_and_never_idle_with_waiters(
        cores in 1..4usize,
        steps in steps(),
    ) {
        NOW.set(Some(1));
        let slots = CpuSlots::new(cores);
        let shares: Vec<_> = (0..8).map(|_| slots.share()).collect();
        let mut claims: Vec<Option<Claim<'_>>> = shares.iter().map(|_| None).collect();
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        for (guest, computes) in steps {
            match &mut claims[guest] {
                // Ends its call.
                Some(claim) if claim.held => {
                    NOW.set(NOW.get().map(|now| now + computes));
                    claim.release();
                    claims[guest] = None;
                }
                // Waits, or gives up its place in the queue.
                Some(claim) => {
                    if claim.poll_acquire(&mut cx).is_pending() && computes % 5 == 0 {
                        claims[guest] = None;
                    }
                }
                None => {
                    let mut claim = shares[guest].claim();
                    let _ = claim.poll_acquire(&mut cx);
                    claims[guest] = Some(claim);
                }
            }
            let open = claims.iter().flatten();
            let held = open.clone().filter(|claim| claim.held).count();
            let granted = open
                .filter_map(|claim| claim.waiting.as_ref())
                .filter(|(_, waiter)| waiter.granted.load(Ordering::SeqCst))
                .count();
            let queue = slots.queue();
            prop_assert_eq!(held + granted + queue.free, cores);
            prop_assert!(queue.free == 0 || queue.waiters.is_empty());
        }
        drop(claims);
        prop_assert_eq!(slots.queue().free, cores);
        NOW.set(None);
    }

    #[test]
    fn service_stays_within_its_bounds_of_the_virtual_clock(steps in steps()) {
        NOW.set(Some(1));
        let slots = CpuSlots::new(1);
        let shares: Vec<_> = (0..8).map(|_| slots.share()).collect();
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        for (guest, computes) in steps {
            let mut claim = shares[guest].claim();
            prop_assert!(claim.poll_acquire(&mut cx).is_ready());
            NOW.set(NOW.get().map(|now| now + computes));
            claim.release();
            let clock = slots.queue().clock;
            let service = shares[guest].service.load(Ordering::Relaxed);
            prop_assert!(service.abs_diff(clock) <= LAG, "{service} at {clock}");
        }
        NOW.set(None);
    }
}
