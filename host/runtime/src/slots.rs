//! CPU slots: how many guests compute at once, and who is next.
//!
//! A guest holds a slot only while it is being polled, so one that waits in a host call holds
//! none. A guest that computes gives its slot up at an epoch tick, and only if someone waits; the
//! slot then goes to the waiter that has used the least CPU time. A newcomer starts at zero and is
//! soon served; a loop that never ends comes last each time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The slots of one runtime.
#[derive(Debug)]
pub(crate) struct CpuSlots {
    queue: Mutex<Queue>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    next: u64,
    waiters: BTreeMap<(Duration, u64), Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    granted: AtomicBool,
    waker: Mutex<Waker>,
}

/// One guest's claim on a slot.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    slots: &'a CpuSlots,
    used: Duration,
    waiting: Option<((Duration, u64), Arc<Waiter>)>,
    held: bool,
}

impl CpuSlots {
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        let queue = Queue { free: cores.max(1), next: 0, waiters: BTreeMap::new() };
        Arc::new(Self { queue: Mutex::new(queue), waiting: AtomicUsize::new(0) })
    }

    /// Whether a guest that computes should let someone else go first.
    pub(crate) fn someone_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim { slots: self, used: Duration::ZERO, waiting: None, held: false }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        let mut queue = self.queue();
        match queue.waiters.pop_first() {
            Some((_, waiter)) => {
                self.waiting.store(queue.waiters.len(), Ordering::Relaxed);
                waiter.granted.store(true, Ordering::SeqCst);
                drop(queue);
                waiter.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
            }
            None => queue.free += 1,
        }
    }
}

impl Claim<'_> {
    /// Takes a slot, or waits for one.
    pub(crate) fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((_, waiter)) = &self.waiting {
            waiter.waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
            if !waiter.granted.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
            self.waiting = None;
            self.held = true;
            return Poll::Ready(());
        }
        let mut queue = self.slots.queue();
        if queue.free > 0 {
            queue.free -= 1;
            self.held = true;
            return Poll::Ready(());
        }
        let key = (self.used, queue.next);
        queue.next += 1;
        let waiter = Arc::new(Waiter {
            granted: AtomicBool::new(false),
            waker: Mutex::new(cx.waker().clone()),
        });
        queue.waiters.insert(key, waiter.clone());
        self.slots.waiting.store(queue.waiters.len(), Ordering::Relaxed);
        self.waiting = Some((key, waiter));
        Poll::Pending
    }

    /// Gives the slot up after having used it for this long.
    pub(crate) fn release(&mut self, used: Duration) {
        self.used += used;
        if std::mem::take(&mut self.held) {
            self.slots.release();
        }
    }

    /// CPU time used under this claim.
    pub(crate) fn used(&self) -> Duration {
        self.used
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some((key, waiter)) = self.waiting.take() {
            let mut queue = self.slots.queue();
            queue.waiters.remove(&key);
            self.slots.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            drop(queue);
            // Granted but never picked up: pass it on.
            self.held |= waiter.granted.load(Ordering::SeqCst);
        }
        self.release(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(claim: &mut Claim<'_>) -> bool {
        claim.poll_acquire(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_one_that_used_least_goes_next() {
        let slots = CpuSlots::new(1);
        let (mut holder, mut heavy, mut light) = (slots.claim(), slots.claim(), slots.claim());
        assert!(acquire(&mut heavy));
        heavy.release(Duration::from_millis(50));
        assert!(acquire(&mut holder));
        assert!(!acquire(&mut heavy));
        assert!(!acquire(&mut light));
        assert!(slots.someone_waits());
        holder.release(Duration::from_millis(5));
        assert!(acquire(&mut light), "came later, used less");
        assert!(!acquire(&mut heavy));
        light.release(Duration::from_millis(5));
        assert!(acquire(&mut heavy));
        assert!(!slots.someone_waits());
    }

    #[test]
    fn a_claim_that_is_dropped_gives_its_slot_back() {
        let slots = CpuSlots::new(1);
        let (mut a, mut b, mut c) = (slots.claim(), slots.claim(), slots.claim());
        assert!(acquire(&mut a));
        assert!(!acquire(&mut b));
        assert!(!acquire(&mut c));
        drop(a);
        drop(b);
        assert!(acquire(&mut c), "b held a grant that it never picked up");
        drop(c);
        assert!(acquire(&mut slots.claim()));
    }
}
