//! CPU slots: a bound on guests that compute concurrently, with fair queueing.
//!
//! A guest holds a slot only while it is polled, so a guest that waits in a host call holds none.
//! The waiter with the least service (time on a slot) runs next. A computing guest checks at each
//! epoch tick and yields to a waiter with less service.
//!
//! A virtual clock shows the service of a guest that always wants a slot: while three guests want
//! one, it advances by a third of what they compute. A guest that joins the queue starts slightly
//! behind the clock, by [`CREDIT`] at most. A newcomer therefore runs at once, for that long, and
//! is then one of many. A guest that has computed for long is still served while newcomers come and
//! go. A guest that could not be interrupted waits for the others afterwards, for [`LAG`] at most.
//!
//! Times are in nanoseconds. Service is the time for which a guest is polled, without the time that
//! it yielded to other threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Maximum service by which a joining guest is behind the virtual clock.
const CREDIT: u64 = 10_000_000;

/// Maximum distance between a guest's service and the virtual clock, in either direction. Guests
/// that come and go with a credit or a debt change the distance.
const LAG: u64 = 100_000_000;

/// Minimum time on a slot before a guest yields, and minimum difference in service for yielding. A
/// switch costs some microseconds.
const QUANTUM: u64 = 500_000;

/// The slots of one runtime.
#[derive(Debug)]
pub(crate) struct CpuSlots {
    queue: Mutex<SlotQueue>,
    began: Instant,
}

#[derive(Debug)]
struct SlotQueue {
    cores: usize,
    free: usize,
    arrivals: u64,
    /// Keyed by service and order of arrival.
    waiters: BTreeMap<(u64, u64), Arc<Waiter>>,
    /// The virtual clock.
    clock: u64,
}

#[derive(Debug)]
struct Waiter {
    granted: AtomicBool,
    waker: Mutex<Waker>,
}

/// The service of one instance, across its calls.
///
/// Only the thread that polls the guest uses it. It is atomic because the type has to be `Sync`.
#[derive(Debug)]
pub struct Share {
    slots: Arc<CpuSlots>,
    /// The service so far.
    service: AtomicU64,
    /// The start of the current slot, moved forward by the time that was yielded.
    since: AtomicU64,
    /// The part of the current slot that is included in `service`.
    counted: AtomicU64,
    /// The virtual clock when service was last counted.
    left: AtomicU64,
}

/// The claim on a slot during one call of a guest.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    share: &'a Share,
    waiting: Option<((u64, u64), Arc<Waiter>)>,
    held: bool,
}

impl CpuSlots {
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        let (cores, waiters) = (cores.max(1), BTreeMap::new());
        let queue = Mutex::new(SlotQueue { cores, free: cores, arrivals: 0, waiters, clock: 0 });
        Arc::new(Self { queue, began: Instant::now() })
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        let [service, since, counted, left] = [0; 4].map(AtomicU64::new);
        Share { slots: self.clone(), service, since, counted, left }
    }

    fn queue(&self) -> MutexGuard<'_, SlotQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        #[cfg(test)]
        if let Some(now) = tests::NOW.get() {
            return now;
        }
        self.began.elapsed().as_nanos() as u64
    }

    /// Gives a released slot to the next waiter.
    fn pass_on(mut queue: MutexGuard<'_, SlotQueue>) {
        match queue.waiters.pop_first() {
            Some((_, waiter)) => {
                waiter.granted.store(true, Ordering::SeqCst);
                drop(queue);
                waiter.waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
            }
            None => queue.free += 1,
        }
    }
}

impl Share {
    /// Returns true if the guest, which holds a slot, should yield it. The guest calls this at each
    /// tick.
    pub(crate) fn should_yield(&self) -> bool {
        if self.computed() < QUANTUM {
            return false;
        }
        let offered = self.slots.now();
        // Offer the core to other threads, above all the host's own. Left to the kernel they would
        // often wait for its next tick, every 4 ms.
        std::thread::yield_now();
        let gone = self.slots.now() - offered;
        self.since.fetch_add(gone, Ordering::Relaxed);
        self.has_exceeded_share()
    }

    /// Returns true if a waiter with less service waits for this slot.
    pub(crate) fn has_exceeded_share(&self) -> bool {
        if self.computed() < QUANTUM {
            return false;
        }
        let mut queue = self.slots.queue();
        self.count(&mut queue);
        let service = self.service.load(Ordering::Relaxed);
        let next = queue.waiters.first_key_value();
        next.is_some_and(|((less, _), _)| *less + QUANTUM <= service)
    }

    /// Adds service beyond the time on the slot, for a guest that computes on several threads.
    pub(crate) fn charge(&self, more: Duration) {
        let more = u64::try_from(more.as_nanos()).unwrap_or(LAG);
        let since = self.since.load(Ordering::Relaxed);
        self.since.store(since.saturating_sub(more), Ordering::Relaxed);
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim { share: self, waiting: None, held: false }
    }

    /// Returns the service with which the guest joins the queue. It gets no credit for the time
    /// that it was away, beyond [`CREDIT`].
    fn join(&self, queue: &SlotQueue) -> u64 {
        let service = self.service.load(Ordering::Relaxed);
        let away = queue.clock - self.left.load(Ordering::Relaxed);
        let service = service.max((service + away).min(queue.clock.saturating_sub(CREDIT)));
        self.service.store(service, Ordering::Relaxed);
        service
    }

    fn begin(&self) {
        self.since.store(self.slots.now(), Ordering::Relaxed);
        self.counted.store(0, Ordering::Relaxed);
    }

    /// Returns the time on the current slot.
    fn computed(&self) -> u64 {
        self.slots.now().saturating_sub(self.since.load(Ordering::Relaxed))
    }

    /// Adds the uncounted time of the current slot to the guest's service.
    fn count(&self, queue: &mut SlotQueue) {
        let computed = self.computed();
        let more = computed - self.counted.swap(computed, Ordering::Relaxed);
        queue.clock += match queue.cores - queue.free + queue.waiters.len() {
            // The common case, without a division.
            1 => more,
            wanting => more / wanting as u64,
        };
        let service = self.service.load(Ordering::Relaxed) + more;
        let service = service.clamp(queue.clock.saturating_sub(LAG), queue.clock + LAG);
        self.service.store(service, Ordering::Relaxed);
        self.left.store(queue.clock, Ordering::Relaxed);
    }
}

impl Claim<'_> {
    /// Takes a slot or waits for one.
    pub(crate) fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.share.slots.queue();
        match &self.waiting {
            Some((_, waiter)) => {
                waiter.waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
                if !waiter.granted.load(Ordering::SeqCst) {
                    return Poll::Pending;
                }
                self.waiting = None;
            }
            None if queue.free == 0 => {
                let key = (self.share.join(&queue), queue.arrivals);
                queue.arrivals += 1;
                let waker = Mutex::new(cx.waker().clone());
                let waiter = Arc::new(Waiter { granted: AtomicBool::new(false), waker });
                queue.waiters.insert(key, waiter.clone());
                self.waiting = Some((key, waiter));
                return Poll::Pending;
            }
            None => {
                self.share.join(&queue);
                queue.free -= 1;
            }
        }
        self.held = true;
        self.share.begin();
        Poll::Ready(())
    }

    /// Releases the slot.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            let mut queue = self.share.slots.queue();
            self.share.count(&mut queue);
            CpuSlots::pass_on(queue);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some((key, waiter)) = self.waiting.take() {
            let mut queue = self.share.slots.queue();
            queue.waiters.remove(&key);
            if waiter.granted.load(Ordering::SeqCst) {
                // The grant was not used: pass it on.
                CpuSlots::pass_on(queue);
            }
        }
        self.release();
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// The time in a test.
        pub(crate) static NOW: Cell<Option<u64>> = const { Cell::new(None) };
    }

    const MILLI: u64 = 1_000_000;

    fn acquire(claim: &mut Claim<'_>) -> bool {
        claim.poll_acquire(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Advances time while the holder of the slot computes.
    fn compute(time: u64) {
        NOW.set(Some(NOW.get().unwrap_or_default() + time));
    }

    fn shares<const N: usize>(slots: usize) -> [Share; N] {
        compute(0);
        let slots = CpuSlots::new(slots);
        std::array::from_fn(|_| slots.share())
    }

    #[test]
    fn the_waiter_with_least_service_runs_next() {
        let shares = shares::<3>(1);
        let [mut holder, mut heavy, mut light] = shares.each_ref().map(Share::claim);
        assert!(acquire(&mut heavy));
        compute(5 * MILLI);
        heavy.release();
        assert!(acquire(&mut holder));
        assert!(!acquire(&mut heavy));
        compute(2 * MILLI);
        assert!(!shares[0].should_yield(), "the waiter has more service");
        assert!(!acquire(&mut light));
        assert!(shares[0].should_yield());
        holder.release();
        assert!(acquire(&mut light), "arrivals later, service less");
        assert!(!acquire(&mut holder));
        compute(MILLI);
        light.release();
        assert!(acquire(&mut holder));
        holder.release();
        assert!(acquire(&mut heavy));
        compute(500 * MILLI);
        assert!(!shares[1].should_yield(), "there is no waiter");
        heavy.release();
    }

    #[test]
    fn a_guest_runs_for_a_quantum_before_it_yields() {
        let [new, next] = shares(1);
        let (mut new_claim, mut next_claim) = (new.claim(), next.claim());
        assert!(acquire(&mut new_claim));
        compute(1_000 * MILLI);
        new_claim.release();
        assert!(acquire(&mut new_claim));
        assert!(!acquire(&mut next_claim));
        compute(QUANTUM / 2);
        assert!(!new.should_yield());
        compute(QUANTUM / 2);
        assert!(new.should_yield());
    }

    #[test]
    fn a_dropped_claim_releases_its_slot() {
        let shares = shares::<4>(1);
        let [mut a, mut b, mut c, mut d] = shares.each_ref().map(Share::claim);
        assert!(acquire(&mut a));
        assert!(!acquire(&mut b));
        assert!(!acquire(&mut c));
        drop(a);
        drop(b);
        assert!(acquire(&mut c), "b held an unused grant");
        drop(c);
        assert!(acquire(&mut d));
    }

    /// The behaviour of a guest. All times are in milliseconds.
    #[derive(Clone, Copy)]
    enum Guest {
        /// Computes from this time on.
        From(u64),
        /// Can yield only after each such interval.
        Unresponsive(u64),
        /// Exits after this much time on the slot, and is replaced by a new guest.
        Fresh(u64),
        /// Alternates between 0.1 ms of computing and a sleep of the first value, until the second.
        /// Then computes.
        Short(u64, u64),
    }

    /// The measured share of a guest, in thousandths, and its longest wait.
    #[derive(Clone, Copy, Debug, Default)]
    struct Measured {
        part: u64,
        waited: u64,
    }

    struct Simulated {
        guest: Guest,
        share: &'static Share,
        claim: Claim<'static>,
        service: u64,
        /// The time since which the guest wants the slot, or from which it will.
        wants: u64,
    }

    fn simulate<const N: usize>(guests: [Guest; N], millis: u64) -> [Measured; N] {
        NOW.set(Some(0));
        let slots = CpuSlots::new(1);
        let newcomer = |guest, wants| {
            let share: &'static Share = Box::leak(Box::new(slots.share()));
            Simulated { guest, share, claim: share.claim(), service: 0, wants }
        };
        let mut guests_alive = guests.map(|guest| match guest {
            Guest::From(from) => newcomer(guest, from * MILLI),
            _ => newcomer(guest, 0),
        });
        let (mut service, mut measured) = ([0; N], [Measured::default(); N]);
        loop {
            let now = NOW.get().unwrap();
            if now >= millis * MILLI {
                let part = |service: u64| service * 1_000 / now;
                return std::array::from_fn(|i| Measured { part: part(service[i]), ..measured[i] });
            }
            for (simulated, measured) in guests_alive.iter_mut().zip(&mut measured) {
                if simulated.wants <= now && !simulated.claim.held {
                    let _ = acquire(&mut simulated.claim);
                    measured.waited = measured.waited.max((now - simulated.wants) / MILLI);
                }
            }
            let Some(who) = guests_alive.iter().position(|simulated| simulated.claim.held) else {
                compute(MILLI / 10);
                continue;
            };
            let simulated = &mut guests_alive[who];
            let short = matches!(simulated.guest, Guest::Short(_, until) if now < until * MILLI);
            let step = match simulated.guest {
                Guest::Unresponsive(step) => step * MILLI,
                _ if short => MILLI / 10,
                _ => MILLI,
            };
            compute(step);
            let now = now + step;
            service[who] += step;
            simulated.service += step;
            simulated.wants = now;
            match simulated.guest {
                Guest::Fresh(all) if simulated.service >= all * MILLI => {
                    *simulated = newcomer(simulated.guest, now)
                }
                Guest::Short(every, _) if short => {
                    simulated.claim.release();
                    simulated.wants = now + every * MILLI;
                }
                _ if simulated.share.should_yield() => simulated.claim.release(),
                _ => {}
            }
        }
    }

    #[test]
    fn slots_are_shared_fairly() {
        let fair = |measured: &[Measured], least: u64| {
            assert!(measured.iter().all(|measured| measured.part >= least), "{measured:?}");
        };
        fair(&simulate([Guest::From(0); 4], 10_000), 245);
        // The first guest was alone until the second came.
        let [old, new] = simulate([Guest::From(0), Guest::From(5_000)], 10_000);
        fair(&[Measured { part: old.part - 500, ..old }, new], 245);
        fair(&simulate([Guest::From(0), Guest::Unresponsive(60)], 10_000), 480);
        fair(&simulate([Guest::From(0), Guest::From(0), Guest::Unresponsive(60)], 10_000), 320);
        // These get their credit each time.
        fair(&simulate([Guest::From(0), Guest::Fresh(9), Guest::Fresh(9)], 10_000), 300);
        fair(&simulate([Guest::From(0), Guest::Fresh(5), Guest::Fresh(2)], 10_000), 300);
    }

    #[test]
    fn waits_for_a_slot_are_bounded() {
        let soon = |measured: &[Measured]| {
            assert!(measured.iter().all(|measured| measured.waited < 400), "{measured:?}");
        };
        // One guest sleeps briefly again and again beside one that computes, and then computes
        // itself.
        let short = Guest::Short(2, 20_000);
        soon(&simulate([Guest::From(0), short, Guest::From(20_100)], 22_000));
        soon(&simulate([Guest::From(0), short, Guest::From(19_900)], 22_000));
        soon(&simulate([Guest::From(0), Guest::Short(2, 60_000), Guest::From(20_000)], 22_000));
        // One guest is kept waiting for long. A newcomer does not have to make up for that.
        let [_, _, newcomer] =
            simulate([Guest::From(0), Guest::Unresponsive(20_000), Guest::From(20_500)], 39_000);
        soon(&[newcomer]);
    }
}
