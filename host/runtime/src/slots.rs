//! CPU slots: how many guests compute at once, and who is next.
//!
//! A guest holds a slot only while it is being polled, so one that waits in a host call holds
//! none. Slots are shared by fair queueing: whoever has *had* least CPU time is next, and a guest
//! that computes looks up at each epoch tick and makes way for a waiter that has had less.
//!
//! Nobody counts as having had much less than the one with most ([`CREDIT`]). A newcomer is
//! therefore let in at once and may compute for that long, and then gets as much as everybody else;
//! a guest that has computed for long still gets its part while newer ones come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// By how much less than the one with most anybody can have had.
const CREDIT: Duration = Duration::from_millis(10);

/// A guest does not make way for less than this: changing over costs some microseconds.
const GRAIN: Duration = Duration::from_micros(500);

/// The slots of one runtime.
#[derive(Debug)]
pub(crate) struct CpuSlots {
    queue: Mutex<Queue>,
    waiting: AtomicUsize,
    /// What times are counted from.
    began: Instant,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    came: u64,
    /// By what they have had and when they came.
    waiters: BTreeMap<(Duration, u64), Arc<Waiter>>,
    /// What the one with most has had.
    most: Duration,
}

#[derive(Debug)]
struct Waiter {
    granted: AtomicBool,
    waker: Mutex<Waker>,
}

/// An instance's part in the slots. Its guest asks it whether to make way.
///
/// It is written and read by the thread that polls the guest, and is atomic for the compiler alone.
#[derive(Debug)]
pub(crate) struct Share {
    slots: Arc<CpuSlots>,
    /// What the guest had had when it was last given a slot, in nanoseconds.
    had: AtomicU64,
    /// When that was.
    since: AtomicU64,
}

/// The claim of one call of a guest on a slot.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    share: &'a Share,
    had: Duration,
    used: Duration,
    waiting: Option<((Duration, u64), Arc<Waiter>)>,
    held: bool,
}

impl CpuSlots {
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        let queue =
            Queue { free: cores.max(1), came: 0, waiters: BTreeMap::new(), most: Duration::ZERO };
        let (queue, waiting) = (Mutex::new(queue), AtomicUsize::new(0));
        Arc::new(Self { queue, waiting, began: Instant::now() })
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { slots: self.clone(), had: AtomicU64::new(0), since: AtomicU64::new(0) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the slot of one that has had so much to whoever is next.
    fn release(&self, had: Duration) {
        let mut queue = self.queue();
        queue.most = queue.most.max(had);
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

impl Queue {
    /// What someone counts as having had.
    fn at_least(&self, had: Duration) -> Duration {
        had.max(self.most.saturating_sub(CREDIT))
    }
}

impl Share {
    /// Whether the guest, which holds a slot, should let someone else go first. Asked by itself, at a
    /// tick.
    pub(crate) fn makes_way(&self) -> bool {
        let computed = self.computed();
        if computed >= GRAIN {
            // Those of the host's own threads that wait for this core. The kernel alone would let them
            // wait for its own tick, which is often every 4 ms.
            std::thread::yield_now();
        }
        if self.slots.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let had = Duration::from_nanos(self.had.load(Ordering::Relaxed)) + computed;
        let mut queue = self.slots.queue();
        queue.most = queue.most.max(had);
        let had = queue.at_least(had);
        queue.waiters.first_key_value().is_some_and(|((less, _), _)| *less + GRAIN <= had)
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        let (had, used) = (Duration::ZERO, Duration::ZERO);
        Claim { share: self, had, used, waiting: None, held: false }
    }

    fn begin(&self, had: Duration) {
        let since = self.slots.began.elapsed();
        self.had.store(had.as_nanos() as u64, Ordering::Relaxed);
        self.since.store(since.as_nanos() as u64, Ordering::Relaxed);
    }

    /// How long it has had its slot.
    fn computed(&self) -> Duration {
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        self.slots.began.elapsed().saturating_sub(since)
    }
}

impl Claim<'_> {
    /// Takes a slot, or waits for one.
    pub(crate) fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.waiting {
            Some((_, waiter)) => {
                waiter.waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
                if !waiter.granted.load(Ordering::SeqCst) {
                    return Poll::Pending;
                }
                self.waiting = None;
            }
            None => {
                let slots = &self.share.slots;
                let mut queue = slots.queue();
                self.had = queue.at_least(self.had);
                if queue.free == 0 {
                    let key = (self.had, queue.came);
                    queue.came += 1;
                    let waker = Mutex::new(cx.waker().clone());
                    let waiter = Arc::new(Waiter { granted: AtomicBool::new(false), waker });
                    queue.waiters.insert(key, waiter.clone());
                    slots.waiting.store(queue.waiters.len(), Ordering::Relaxed);
                    self.waiting = Some((key, waiter));
                    return Poll::Pending;
                }
                queue.free -= 1;
            }
        }
        self.held = true;
        self.share.begin(self.had);
        Poll::Ready(())
    }

    /// Gives the slot up.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            let used = self.share.computed();
            self.used += used;
            self.had += used;
            self.share.slots.release(self.had);
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
            let slots = &self.share.slots;
            let mut queue = slots.queue();
            queue.waiters.remove(&key);
            slots.waiting.store(queue.waiters.len(), Ordering::Relaxed);
            drop(queue);
            if waiter.granted.load(Ordering::SeqCst) {
                // It was never picked up: pass it on.
                slots.release(self.had);
            }
        }
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(claim: &mut Claim<'_>) -> bool {
        claim.poll_acquire(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// As if the holder had computed for so long.
    fn compute(claim: &mut Claim<'_>, time: Duration) {
        let since = claim.share.since.load(Ordering::Relaxed);
        // Times are counted from long enough ago.
        claim.share.since.store(since - time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn slots() -> Arc<CpuSlots> {
        let mut slots = Arc::into_inner(CpuSlots::new(1)).unwrap();
        slots.began = slots.began.checked_sub(Duration::from_secs(60)).unwrap();
        Arc::new(slots)
    }

    fn shares<const N: usize>(slots: &Arc<CpuSlots>) -> [Share; N] {
        std::array::from_fn(|_| slots.share())
    }

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn the_one_that_has_had_least_goes_next() {
        let slots = slots();
        let shares = shares::<3>(&slots);
        let [mut holder, mut heavy, mut light] = shares.each_ref().map(Share::claim);
        assert!(acquire(&mut heavy));
        compute(&mut heavy, 5 * MILLI);
        heavy.release();
        assert!(acquire(&mut holder));
        assert!(!acquire(&mut heavy));
        assert!(!shares[0].makes_way(), "what waits has had more");
        assert!(!acquire(&mut light));
        assert!(!shares[0].makes_way(), "it has only just begun");
        compute(&mut holder, 5 * MILLI);
        assert!(shares[0].makes_way());
        holder.release();
        assert!(acquire(&mut light), "came later, had less");
        assert!(!acquire(&mut heavy));
        light.release();
        assert!(acquire(&mut heavy));
        compute(&mut heavy, 500 * MILLI);
        assert!(!shares[1].makes_way(), "nobody waits");
    }

    #[test]
    fn who_has_computed_for_long_is_not_kept_out_by_newcomers() {
        let slots = slots();
        let [old, new] = shares(&slots);
        let mut old_claim = old.claim();
        assert!(acquire(&mut old_claim));
        compute(&mut old_claim, 10_000 * MILLI);
        let mut new_claim = new.claim();
        assert!(!acquire(&mut new_claim));
        assert!(old.makes_way(), "a newcomer is let in");
        old_claim.release();
        assert!(acquire(&mut new_claim));
        assert!(!acquire(&mut old_claim));
        compute(&mut new_claim, CREDIT / 2);
        assert!(!new.makes_way(), "and has its credit");
        compute(&mut new_claim, CREDIT / 2 + MILLI);
        assert!(new.makes_way(), "but not more");
        new_claim.release();
        assert!(acquire(&mut old_claim));
        assert!(!acquire(&mut new_claim));
        compute(&mut old_claim, 2 * MILLI);
        assert!(old.makes_way(), "from there on they take turns");
    }

    #[test]
    fn a_claim_that_is_dropped_gives_its_slot_back() {
        let slots = slots();
        let shares = shares::<3>(&slots);
        let [mut a, mut b, mut c] = shares.each_ref().map(Share::claim);
        assert!(acquire(&mut a));
        assert!(!acquire(&mut b));
        assert!(!acquire(&mut c));
        drop(a);
        drop(b);
        assert!(acquire(&mut c), "b held a grant that it never picked up");
        drop(c);
        assert!(acquire(&mut slots.share().claim()));
    }
}
