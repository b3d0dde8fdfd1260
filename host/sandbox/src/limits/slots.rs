//! CPU slots: how many guests compute at once, and who is next.
//!
//! A guest holds a slot only while it is being polled, so one that waits in a host call holds
//! none. Slots are shared by fair queueing: whoever has *had* least is next, and a guest that
//! computes looks up at each epoch tick and makes way for a waiter that has had less.
//!
//! A clock runs beside them that shows what somebody would have had who always wanted a slot: while
//! three want one, it advances by a third of what they compute. Whoever comes, for the first time or
//! again, counts as having had not much less than it shows ([`CREDIT`]). So a newcomer is let in at once
//! and for that long, and from then on is one of many; who has computed for long is served while
//! newcomers come and go; and who cannot be interrupted for a while waits for the others afterwards,
//! up to [`LAG`].
//!
//! Times are nanoseconds. What counts is for how long a guest is polled, but for what it gave away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// By how much less than the clock shows somebody who comes can have had.
const CREDIT: u64 = 10_000_000;

/// How far from the clock what somebody has had can be, in either direction. It moves there as others
/// come and go, who take with them what they are owed or owe.
const LAG: u64 = 100_000_000;

/// Nobody makes way sooner than this after getting a slot, nor for somebody who has had so little
/// less: changing over costs some microseconds.
const GRAIN: u64 = 500_000;

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
    came: u64,
    /// By what they have had and when they came.
    waiters: BTreeMap<(u64, u64), Arc<Waiter>>,
    /// What somebody would have had who always wanted a slot.
    clock: u64,
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
pub struct Share {
    slots: Arc<CpuSlots>,
    /// What the guest has had. From one call to the next it stays.
    had: AtomicU64,
    /// When it was last given a slot, later by what it gave away since.
    since: AtomicU64,
    /// How much of its time from then on is in `had`.
    counted: AtomicU64,
    /// What the clock showed when that was last counted.
    left: AtomicU64,
}

/// The claim of one call of a guest on a slot.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    share: &'a Share,
    used: u64,
    waiting: Option<((u64, u64), Arc<Waiter>)>,
    held: bool,
}

impl CpuSlots {
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        let (cores, waiters) = (cores.max(1), BTreeMap::new());
        let queue = Mutex::new(SlotQueue { cores, free: cores, came: 0, waiters, clock: 0 });
        Arc::new(Self { queue, began: Instant::now() })
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        let [had, since, counted, left] = [0; 4].map(AtomicU64::new);
        Share { slots: self.clone(), had, since, counted, left }
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

    /// Gives a slot that was held to whoever is next.
    fn hand_on(mut queue: MutexGuard<'_, SlotQueue>) {
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
    /// Whether the guest, which holds a slot, should let someone else go first. Asked by itself, at a
    /// tick.
    pub(crate) fn makes_way(&self) -> bool {
        if self.computed() < GRAIN {
            return false;
        }
        let offered = self.slots.now();
        // To whatever thread waits for this core, above all the host's own. The kernel alone would
        // often let them wait for a tick of its own, every 4 ms.
        std::thread::yield_now();
        let gone = self.slots.now() - offered;
        self.since.fetch_add(gone, Ordering::Relaxed);
        self.is_past_its_turn()
    }

    /// Whether it holds a slot for which somebody waits who has had less.
    pub(crate) fn is_past_its_turn(&self) -> bool {
        if self.computed() < GRAIN {
            return false;
        }
        let mut queue = self.slots.queue();
        self.count(&mut queue);
        let had = self.had.load(Ordering::Relaxed);
        let next = queue.waiters.first_key_value();
        next.is_some_and(|((less, _), _)| *less + GRAIN <= had)
    }

    /// Has it have had more than the time for which it held its slot.
    pub(crate) fn owe(&self, more: Duration) {
        let more = u64::try_from(more.as_nanos()).unwrap_or(LAG);
        let since = self.since.load(Ordering::Relaxed);
        self.since.store(since.saturating_sub(more), Ordering::Relaxed);
    }

    pub(crate) fn claim(&self) -> Claim<'_> {
        Claim { share: self, used: 0, waiting: None, held: false }
    }

    /// What it counts as having had now that it comes to the queue: what it did not want while it was
    /// away it is not owed, but for its credit.
    fn come(&self, queue: &SlotQueue) -> u64 {
        let had = self.had.load(Ordering::Relaxed);
        let away = queue.clock - self.left.load(Ordering::Relaxed);
        let had = had.max((had + away).min(queue.clock.saturating_sub(CREDIT)));
        self.had.store(had, Ordering::Relaxed);
        had
    }

    fn begin(&self) {
        self.since.store(self.slots.now(), Ordering::Relaxed);
        self.counted.store(0, Ordering::Relaxed);
    }

    /// For how long it has computed since it got its slot.
    fn computed(&self) -> u64 {
        self.slots.now().saturating_sub(self.since.load(Ordering::Relaxed))
    }

    /// Counts what it has computed since that was last counted. Says for how long it has in all since
    /// it got its slot.
    fn count(&self, queue: &mut SlotQueue) -> u64 {
        let computed = self.computed();
        let more = computed - self.counted.swap(computed, Ordering::Relaxed);
        queue.clock += match queue.cores - queue.free + queue.waiters.len() {
            // The most frequent, without a division.
            1 => more,
            wanting => more / wanting as u64,
        };
        let had = self.had.load(Ordering::Relaxed) + more;
        let had = had.clamp(queue.clock.saturating_sub(LAG), queue.clock + LAG);
        self.had.store(had, Ordering::Relaxed);
        self.left.store(queue.clock, Ordering::Relaxed);
        computed
    }
}

impl Claim<'_> {
    /// Takes a slot, or waits for one.
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
                let key = (self.share.come(&queue), queue.came);
                queue.came += 1;
                let waker = Mutex::new(cx.waker().clone());
                let waiter = Arc::new(Waiter { granted: AtomicBool::new(false), waker });
                queue.waiters.insert(key, waiter.clone());
                self.waiting = Some((key, waiter));
                return Poll::Pending;
            }
            None => {
                self.share.come(&queue);
                queue.free -= 1;
            }
        }
        self.held = true;
        self.share.begin();
        Poll::Ready(())
    }

    /// Gives the slot up.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            let mut queue = self.share.slots.queue();
            self.used += self.share.count(&mut queue);
            CpuSlots::hand_on(queue);
        }
    }

    /// For how long the guest was polled under this claim, but for what it gave away.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some((key, waiter)) = self.waiting.take() {
            let mut queue = self.share.slots.queue();
            queue.waiters.remove(&key);
            if waiter.granted.load(Ordering::SeqCst) {
                // It was never picked up: pass it on.
                CpuSlots::hand_on(queue);
            }
        }
        self.release();
    }
}

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

    /// Whoever holds a slot computes for so long.
    fn compute(time: u64) {
        NOW.set(Some(NOW.get().unwrap_or_default() + time));
    }

    fn shares<const N: usize>(slots: usize) -> [Share; N] {
        compute(0);
        let slots = CpuSlots::new(slots);
        std::array::from_fn(|_| slots.share())
    }

    #[test]
    fn the_one_that_has_had_least_goes_next() {
        let shares = shares::<3>(1);
        let [mut holder, mut heavy, mut light] = shares.each_ref().map(Share::claim);
        assert!(acquire(&mut heavy));
        compute(5 * MILLI);
        heavy.release();
        assert!(acquire(&mut holder));
        assert!(!acquire(&mut heavy));
        compute(2 * MILLI);
        assert!(!shares[0].makes_way(), "what waits has had more");
        assert!(!acquire(&mut light));
        assert!(shares[0].makes_way());
        holder.release();
        assert!(acquire(&mut light), "came later, had less");
        assert!(!acquire(&mut holder));
        compute(MILLI);
        light.release();
        assert!(acquire(&mut holder));
        holder.release();
        assert!(acquire(&mut heavy));
        compute(500 * MILLI);
        assert!(!shares[1].makes_way(), "nobody waits");
        assert_eq!(heavy.used(), Duration::from_millis(5));
        heavy.release();
        assert_eq!(heavy.used(), Duration::from_millis(505));
    }

    #[test]
    fn nobody_makes_way_as_soon_as_it_begins() {
        let [new, next] = shares(1);
        let (mut new_claim, mut next_claim) = (new.claim(), next.claim());
        assert!(acquire(&mut new_claim));
        compute(1_000 * MILLI);
        new_claim.release();
        assert!(acquire(&mut new_claim));
        assert!(!acquire(&mut next_claim));
        compute(GRAIN / 2);
        assert!(!new.makes_way());
        compute(GRAIN / 2);
        assert!(new.makes_way());
    }

    #[test]
    fn a_claim_that_is_dropped_gives_its_slot_back() {
        let shares = shares::<4>(1);
        let [mut a, mut b, mut c, mut d] = shares.each_ref().map(Share::claim);
        assert!(acquire(&mut a));
        assert!(!acquire(&mut b));
        assert!(!acquire(&mut c));
        drop(a);
        drop(b);
        assert!(acquire(&mut c), "b held a grant that it never picked up");
        drop(c);
        assert!(acquire(&mut d));
    }

    /// How guests of one slot behave. All times are in milliseconds.
    #[derive(Clone, Copy)]
    enum Guest {
        /// Computes from then on.
        From(u64),
        /// Looks up only so often.
        Deaf(u64),
        /// Ends after so much, and comes again as another.
        Fresh(u64),
        /// Computes for a tenth of a millisecond, and sleeps for so long, until then; then computes.
        Short(u64, u64),
    }

    /// How a guest fared: its part of the time, in thousandths, and the longest that it waited.
    #[derive(Clone, Copy, Debug, Default)]
    struct Fared {
        part: u64,
        waited: u64,
    }

    struct Life {
        guest: Guest,
        share: &'static Share,
        claim: Claim<'static>,
        had: u64,
        /// Since when it wants the slot, or from when on it will.
        wants: u64,
    }

    fn fare<const N: usize>(guests: [Guest; N], millis: u64) -> [Fared; N] {
        NOW.set(Some(0));
        let slots = CpuSlots::new(1);
        let newcomer = |guest, wants| {
            let share: &'static Share = Box::leak(Box::new(slots.share()));
            Life { guest, share, claim: share.claim(), had: 0, wants }
        };
        let mut lives = guests.map(|guest| match guest {
            Guest::From(from) => newcomer(guest, from * MILLI),
            _ => newcomer(guest, 0),
        });
        let (mut had, mut fared) = ([0; N], [Fared::default(); N]);
        loop {
            let now = NOW.get().unwrap();
            if now >= millis * MILLI {
                let part = |had: u64| had * 1_000 / now;
                return std::array::from_fn(|i| Fared { part: part(had[i]), ..fared[i] });
            }
            for (life, fared) in lives.iter_mut().zip(&mut fared) {
                if life.wants <= now && !life.claim.held {
                    let _ = acquire(&mut life.claim);
                    fared.waited = fared.waited.max((now - life.wants) / MILLI);
                }
            }
            let Some(who) = lives.iter().position(|life| life.claim.held) else {
                compute(MILLI / 10);
                continue;
            };
            let life = &mut lives[who];
            let short = matches!(life.guest, Guest::Short(_, until) if now < until * MILLI);
            let step = match life.guest {
                Guest::Deaf(step) => step * MILLI,
                _ if short => MILLI / 10,
                _ => MILLI,
            };
            compute(step);
            let now = now + step;
            had[who] += step;
            life.had += step;
            life.wants = now;
            match life.guest {
                Guest::Fresh(all) if life.had >= all * MILLI => *life = newcomer(life.guest, now),
                Guest::Short(every, _) if short => {
                    life.claim.release();
                    life.wants = now + every * MILLI;
                }
                _ if life.share.makes_way() => life.claim.release(),
                _ => {}
            }
        }
    }

    #[test]
    fn who_always_wants_the_slot_has_as_much_of_it_as_others() {
        let fair = |fared: &[Fared], least: u64| {
            assert!(fared.iter().all(|fared| fared.part >= least), "{fared:?}");
        };
        fair(&fare([Guest::From(0); 4], 10_000), 245);
        // Until the other came it was alone.
        let [old, new] = fare([Guest::From(0), Guest::From(5_000)], 10_000);
        fair(&[Fared { part: old.part - 500, ..old }, new], 245);
        fair(&fare([Guest::From(0), Guest::Deaf(60)], 10_000), 480);
        fair(&fare([Guest::From(0), Guest::From(0), Guest::Deaf(60)], 10_000), 320);
        // These have their credit each time.
        fair(&fare([Guest::From(0), Guest::Fresh(9), Guest::Fresh(9)], 10_000), 300);
        fair(&fare([Guest::From(0), Guest::Fresh(5), Guest::Fresh(2)], 10_000), 300);
    }

    #[test]
    fn nobody_waits_long_for_what_others_are_owed() {
        let soon = |fared: &[Fared]| {
            assert!(fared.iter().all(|fared| fared.waited < 400), "{fared:?}");
        };
        // One waits a moment again and again beside one that computes, and computes itself at last.
        let short = Guest::Short(2, 20_000);
        soon(&fare([Guest::From(0), short, Guest::From(20_100)], 22_000));
        soon(&fare([Guest::From(0), short, Guest::From(19_900)], 22_000));
        soon(&fare([Guest::From(0), Guest::Short(2, 60_000), Guest::From(20_000)], 22_000));
        // One is kept out for long: no newcomer has to make up for that.
        let [_, _, newcomer] =
            fare([Guest::From(0), Guest::Deaf(20_000), Guest::From(20_500)], 39_000);
        soon(&[newcomer]);
    }
}
