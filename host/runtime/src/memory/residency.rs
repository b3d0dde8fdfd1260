//! Which workers have a live instance: so many at once, within so much memory, and the longest idle
//! go first.
//!
//! An instance that handles an input is never taken. One that rests may be, for lack of places or
//! of memory; its worker notices nothing but a slower next turn. Where none rests, who needs a place
//! or memory waits for the end of somebody's turn.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::admission::{Bank, Loan};
use skep_sandbox::MemoryAdmission;

/// Requests for memory that may wait at once; beyond it new inputs are refused.
const MOST_WAITING: usize = 256;

/// The places for live instances.
#[derive(Debug)]
pub(crate) struct Residency {
    places: Arc<Semaphore>,
    total: usize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    bank: Bank,
    /// Memory for those that rest, and how much they have.
    idle_budget: u64,
    idle_bytes: u64,
    next: u64,
    /// Workers that wait for a place.
    wanted: usize,
    /// By when they came to rest.
    resting: BTreeMap<u64, Rest>,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Rest {
    account: u64,
    bytes: u64,
    leave: Arc<Notify>,
}

/// A request for memory that could not be met at once.
#[derive(Debug)]
struct Waiting {
    account: u64,
    bytes: u64,
    is_advance: bool,
    done: oneshot::Sender<bool>,
}

/// Sizes of a [`Residency`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Places.
    pub(crate) places: usize,
    /// Memory of all instances, in bytes.
    pub(crate) memory_bytes: u64,
    /// Memory of those that rest, in bytes.
    pub(crate) idle_bytes: u64,
}

/// A place for one instance, and its memory.
#[derive(Debug)]
pub(crate) struct Place {
    account: Arc<Account>,
    _permit: OwnedSemaphorePermit,
}

/// What an instance borrows from.
#[derive(Debug)]
struct Account {
    residency: Arc<Residency>,
    key: u64,
}

/// An instance that handles nothing and may be taken.
#[derive(Debug)]
pub(crate) struct Resting {
    residency: Arc<Residency>,
    key: u64,
    leave: Arc<Notify>,
}

impl Residency {
    pub(crate) fn new(sizes: Sizes) -> Arc<Self> {
        let ledger = Ledger {
            bank: Bank::new(sizes.memory_bytes),
            idle_budget: sizes.idle_bytes,
            idle_bytes: 0,
            next: 0,
            wanted: 0,
            resting: BTreeMap::new(),
            waiting: VecDeque::new(),
        };
        Arc::new(Self {
            places: Arc::new(Semaphore::new(sizes.places)),
            total: sizes.places,
            ledger: Mutex::new(ledger),
        })
    }

    /// A place, taken from the longest idle where there is none left, for an instance that is
    /// expected to need so much memory and can have so much at most.
    pub(crate) async fn place(self: &Arc<Self>, expected_bytes: u64, limit_bytes: u64) -> Place {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _wanting = Wanting::begin(self);
                let permit = self.places.clone().acquire_owned().await;
                permit.expect("the places are never closed")
            }
        };
        let key = self.ledger().bank.open(limit_bytes);
        let account = Arc::new(Account { residency: self.clone(), key });
        account.borrow(expected_bytes, true).await;
        Place { account, _permit: permit }
    }

    /// Live instances.
    pub(crate) fn connected(&self) -> usize {
        self.total - self.places.available_permits()
    }

    /// Whether somebody waits for a place or for memory, so that who has some rests between its
    /// turns, however many inputs it has.
    pub(crate) fn is_wanted(&self) -> bool {
        let ledger = self.ledger();
        ledger.wanted > 0 || !ledger.waiting.is_empty()
    }

    /// Whether so many wait for memory that nobody else should.
    pub(crate) fn is_overrun(&self) -> bool {
        self.ledger().waiting.len() >= MOST_WAITING
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that waits for a place; others are asked to leave for it as long as it does.
struct Wanting<'a>(&'a Residency);

impl<'a> Wanting<'a> {
    fn begin(residency: &'a Residency) -> Self {
        let mut ledger = residency.ledger();
        ledger.wanted += 1;
        ledger.make_places();
        Self(residency)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.ledger().wanted -= 1;
    }
}

impl Ledger {
    /// Has as many leave as are waited for; one that was asked and stays after all does not count.
    fn make_places(&mut self) {
        while self.wanted > self.bank.leavers() && self.evict_oldest() {}
    }

    fn evict_oldest(&mut self) -> bool {
        let Some((_, rest)) = self.resting.pop_first() else { return false };
        self.idle_bytes -= rest.bytes;
        self.bank.leave(rest.account);
        rest.leave.notify_one();
        true
    }

    fn ask(&mut self, account: u64, bytes: u64, is_advance: bool) -> Loan {
        loop {
            let loan = match is_advance {
                true => self.bank.put_by(account, bytes),
                false => self.bank.reserve(account, bytes),
            };
            match loan {
                Loan::Later { short_bytes: 1.. } if self.evict_oldest() => {}
                loan => return loan,
            }
        }
    }

    /// Whether an instance that is not there yet waits for memory. None that comes after it is
    /// served before it, or small ones would keep a large one waiting for ever; those that run are,
    /// since it is their ends that everybody waits for.
    fn is_advance_due(&self) -> bool {
        self.waiting.iter().any(|request| request.is_advance && !request.done.is_closed())
    }

    /// Meets the requests that can be met now, in their order.
    fn serve(&mut self) {
        for request in std::mem::take(&mut self.waiting) {
            if request.done.is_closed() {
                continue;
            }
            if request.is_advance && self.is_advance_due() {
                self.waiting.push_back(request);
                continue;
            }
            let loan = self.ask(request.account, request.bytes, request.is_advance);
            match loan {
                Loan::Later { .. } => self.waiting.push_back(request),
                // Who gave up meanwhile gives it back with its account.
                Loan::Made | Loan::Never => drop(request.done.send(loan == Loan::Made)),
            }
        }
    }
}

impl Place {
    /// Who lends the instance its memory.
    pub(crate) fn admission(&self) -> Arc<dyn MemoryAdmission> {
        self.account.clone()
    }

    /// Says that the instance handles nothing now.
    pub(crate) fn rest(&self) -> Resting {
        let residency = self.account.residency.clone();
        let mut ledger = residency.ledger();
        let (key, leave) = (ledger.next, Arc::new(Notify::new()));
        ledger.next += 1;
        match ledger.bank.rest(self.account.key) {
            Some(bytes) => {
                ledger.idle_bytes += bytes;
                let rest = Rest { account: self.account.key, bytes, leave: leave.clone() };
                ledger.resting.insert(key, rest);
            }
            // It was woken for something else before it could go.
            None => leave.notify_one(),
        }
        while ledger.idle_bytes > ledger.idle_budget && ledger.evict_oldest() {}
        ledger.make_places();
        ledger.serve();
        drop(ledger);
        Resting { residency, key, leave }
    }

    /// Whether the instance may handle another input. If not, for lack of memory, it has to go.
    pub(crate) fn resume(&self) -> bool {
        let mut ledger = self.account.residency.ledger();
        let may = ledger.bank.resume(self.account.key);
        // It may have been asked to leave for somebody.
        ledger.make_places();
        if !ledger.waiting.is_empty() {
            ledger.serve();
        }
        may
    }
}

impl Account {
    async fn borrow(&self, bytes: u64, is_advance: bool) -> bool {
        let lent = {
            let mut ledger = self.residency.ledger();
            let loan = match is_advance && ledger.is_advance_due() {
                true => Loan::Later { short_bytes: 0 },
                false => ledger.ask(self.key, bytes, is_advance),
            };
            match loan {
                Loan::Made => return true,
                Loan::Never => return false,
                Loan::Later { .. } => {
                    let (done, lent) = oneshot::channel();
                    let account = self.key;
                    ledger.waiting.push_back(Waiting { account, bytes, is_advance, done });
                    lent
                }
            }
        };
        lent.await.unwrap_or(false)
    }
}

impl MemoryAdmission for Account {
    fn reserve(&self, bytes: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.borrow(bytes, false))
    }

    fn release(&self, bytes: u64) {
        self.residency.ledger().bank.release(self.key, bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut ledger = self.residency.ledger();
        ledger.bank.close(self.key);
        ledger.serve();
    }
}

impl Resting {
    /// Waits until the instance is to leave.
    pub(crate) async fn evicted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        let mut ledger = self.residency.ledger();
        if let Some(rest) = ledger.resting.remove(&self.key) {
            ledger.idle_bytes -= rest.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_ready<T>(future: impl Future<Output = T>) -> bool {
        tokio::time::timeout(Duration::ZERO, future).await.is_ok()
    }

    fn residency(places: usize, memory_bytes: u64, idle_bytes: u64) -> Arc<Residency> {
        Residency::new(Sizes { places, memory_bytes, idle_bytes })
    }

    async fn place(residency: &Arc<Residency>, bytes: u64) -> Place {
        let place = residency.place(0, bytes).await;
        assert!(place.admission().reserve(bytes).await);
        place
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_for_a_newcomer() {
        let residency = residency(2, u64::MAX, u64::MAX);
        let (first, second) = (place(&residency, 10).await, place(&residency, 10).await);
        let (older, newer) = (first.rest(), second.rest());
        let third = residency.place(0, 10);
        tokio::pin!(third);
        assert!(!is_ready(&mut third).await);
        assert!(is_ready(older.evicted()).await);
        assert!(!is_ready(newer.evicted()).await);
        drop((older, first));
        third.await;
        assert_eq!(residency.connected(), 1, "the third has gone again, the second is there");
    }

    #[tokio::test]
    async fn one_that_comes_to_rest_leaves_for_whoever_waits() {
        let residency = residency(1, u64::MAX, u64::MAX);
        let only = place(&residency, 1).await;
        let waiting = residency.place(0, 1);
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        assert!(is_ready(only.rest().evicted()).await);
        drop(only);
        waiting.await;
    }

    #[tokio::test]
    async fn idle_memory_is_bounded() {
        let residency = residency(9, u64::MAX, 100);
        let (a, b, c) =
            (place(&residency, 60).await, place(&residency, 40).await, place(&residency, 1).await);
        let (a, b) = (a.rest(), b.rest());
        assert!(!is_ready(a.evicted()).await);
        let c = c.rest();
        assert!(is_ready(a.evicted()).await);
        assert!(!is_ready(b.evicted()).await && !is_ready(c.evicted()).await);
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_for_want_of_memory_then_who_needs_it_waits() {
        let residency = residency(9, 100, u64::MAX);
        let (a, b) = (place(&residency, 50).await, place(&residency, 50).await);
        let resting = a.rest();
        let waiting = residency.place(50, 50);
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        assert!(is_ready(resting.evicted()).await, "it goes first");
        drop((resting, a));
        let third = waiting.await;
        let fourth = residency.place(50, 50);
        tokio::pin!(fourth);
        assert!(!is_ready(&mut fourth).await, "nobody rests");
        drop(b);
        drop((fourth.await, third));
        assert_eq!(residency.connected(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_in_nobodys_way() {
        let residency = residency(9, 100, u64::MAX);
        let a = place(&residency, 60).await;
        assert!(!is_ready(residency.place(60, 60)).await);
        let b = residency.place(0, 60).await;
        assert!(!is_ready(b.admission().reserve(60)).await);
        drop((a, b));
        place(&residency, 100).await;
    }

    #[tokio::test]
    async fn small_ones_do_not_keep_a_large_one_waiting() {
        let residency = residency(9, 100, u64::MAX);
        let running = place(&residency, 60).await;
        let large = residency.place(60, 60);
        tokio::pin!(large);
        assert!(!is_ready(&mut large).await);
        let small = residency.place(10, 10);
        tokio::pin!(small);
        assert!(!is_ready(&mut small).await, "it comes after the large one");
        drop(running);
        drop((large.await, small.await));
        assert_eq!(residency.connected(), 0);
    }

    #[tokio::test]
    async fn one_that_was_asked_to_leave_and_stays_leaves_after_its_turn() {
        let residency = residency(1, u64::MAX, u64::MAX);
        let only = place(&residency, 1).await;
        let resting = only.rest();
        let waiting = residency.place(0, 1);
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        // It is woken at the same moment, and that comes first.
        drop(resting);
        assert!(only.resume() && residency.is_wanted());
        assert!(is_ready(only.rest().evicted()).await);
        drop(only);
        waiting.await;
        assert!(!residency.is_wanted());
    }

    #[tokio::test]
    async fn too_many_who_wait_are_an_overrun() {
        let residency = residency(1_000, 100, u64::MAX);
        let a = place(&residency, 100).await;
        let tasks: Vec<_> = (0..MOST_WAITING)
            .map(|_| {
                let residency = residency.clone();
                tokio::spawn(async move { drop(residency.place(1, 1).await) })
            })
            .collect();
        while !residency.is_overrun() {
            tokio::task::yield_now().await;
        }
        drop(a);
        for task in tasks {
            task.await.unwrap();
        }
        assert!(!residency.is_overrun());
    }
}
