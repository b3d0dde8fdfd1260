//! Bounds live instances by count and memory; evicts the longest idle first.
//!
//! Only idle instances are evicted, for lack of instance permits or of memory. Their workers notice
//! nothing but a slower next turn. If no instance is idle, a request for a permit or for memory
//! waits until a turn ends.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::admission::{MemoryPool, Reservation};
use skep_sandbox::MemoryAdmission;

/// Maximum number of queued memory requests. Beyond it new inputs are refused.
const MAX_MEMORY_WAITERS: usize = 256;

/// The bounds on live instances and the instances that can be evicted.
#[derive(Debug)]
pub(crate) struct Residency {
    permits: Arc<Semaphore>,
    total: usize,
    state: Mutex<ResidencyState>,
}

#[derive(Debug)]
struct ResidencyState {
    pool: MemoryPool,
    /// Memory budget and memory use of idle instances, in bytes.
    idle_budget: u64,
    idle_bytes: u64,
    next: u64,
    /// Workers that wait for an instance permit.
    instance_waiters: usize,
    /// Idle instances, the longest idle first.
    idle: BTreeMap<u64, IdleInstance>,
    memory_waiters: VecDeque<MemoryWaiter>,
}

#[derive(Debug)]
struct IdleInstance {
    member: u64,
    bytes: u64,
    evict: Arc<Notify>,
}

/// A queued request for memory.
#[derive(Debug)]
struct MemoryWaiter {
    member: u64,
    bytes: u64,
    is_initial: bool,
    done: oneshot::Sender<bool>,
}

/// The limits of a [`Residency`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResidencyLimits {
    /// Live instances.
    pub(crate) instances: usize,
    /// Memory of all instances, in bytes.
    pub(crate) memory_bytes: u64,
    /// Memory of idle instances, in bytes.
    pub(crate) idle_bytes: u64,
}

/// The permit and the memory of one live instance.
#[derive(Debug)]
pub(crate) struct Residence {
    memory: Arc<InstanceMemory>,
    _permit: OwnedSemaphorePermit,
}

/// The memory of one instance.
#[derive(Debug)]
struct InstanceMemory {
    residency: Arc<Residency>,
    key: u64,
}

/// An idle instance that may be evicted.
#[derive(Debug)]
pub(crate) struct IdleGuard {
    residency: Arc<Residency>,
    key: u64,
    evict: Arc<Notify>,
}

impl Residency {
    pub(crate) fn new(limits: ResidencyLimits) -> Arc<Self> {
        let state = ResidencyState {
            pool: MemoryPool::new(limits.memory_bytes),
            idle_budget: limits.idle_bytes,
            idle_bytes: 0,
            next: 0,
            instance_waiters: 0,
            idle: BTreeMap::new(),
            memory_waiters: VecDeque::new(),
        };
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(limits.instances)),
            total: limits.instances,
            state: Mutex::new(state),
        })
    }

    /// Admits an instance that is expected to need `expected_bytes` and may use up to
    /// `limit_bytes`. Evicts the longest idle instance if no permit is free.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        expected_bytes: u64,
        limit_bytes: u64,
    ) -> Residence {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiter = InstanceWaiter::begin(self);
                let permit = self.permits.clone().acquire_owned().await;
                permit.expect("the semaphore is never closed")
            }
        };
        let key = self.state().pool.add(limit_bytes);
        let memory = Arc::new(InstanceMemory { residency: self.clone(), key });
        memory.reserve_or_wait(expected_bytes, true).await;
        Residence { memory, _permit: permit }
    }

    /// Returns the number of live instances.
    pub(crate) fn connected(&self) -> usize {
        self.total - self.permits.available_permits()
    }

    /// Returns the memory reserved for all instances, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.state().pool.reserved()
    }

    /// Returns true if a request waits for an instance permit or for memory. Instances then count
    /// as idle between turns, however many inputs are queued for them.
    pub(crate) fn has_waiters(&self) -> bool {
        let state = self.state();
        state.instance_waiters > 0 || !state.memory_waiters.is_empty()
    }

    /// Returns true if the queue of memory requests is full.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.state().memory_waiters.len() >= MAX_MEMORY_WAITERS
    }

    fn state(&self) -> MutexGuard<'_, ResidencyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiter for an instance permit. Idle instances are evicted for it until it is dropped.
struct InstanceWaiter<'a>(&'a Residency);

impl<'a> InstanceWaiter<'a> {
    fn begin(residency: &'a Residency) -> Self {
        let mut state = residency.state();
        state.instance_waiters += 1;
        state.evict_for_waiters();
        Self(residency)
    }
}

impl Drop for InstanceWaiter<'_> {
    fn drop(&mut self) {
        self.0.state().instance_waiters -= 1;
    }
}

impl ResidencyState {
    /// Evicts one idle instance per waiter, not counting pending evictions. An instance that
    /// resumed despite its eviction signal is no longer pending.
    fn evict_for_waiters(&mut self) {
        while self.instance_waiters > self.pool.pending_evictions() && self.evict_oldest() {}
    }

    fn evict_oldest(&mut self) -> bool {
        let Some((_, idle)) = self.idle.pop_first() else { return false };
        self.idle_bytes -= idle.bytes;
        self.pool.set_evicting(idle.member);
        idle.evict.notify_one();
        true
    }

    fn reserve(&mut self, member: u64, bytes: u64, is_initial: bool) -> Reservation {
        loop {
            let reservation = match is_initial {
                true => self.pool.reserve_initial(member, bytes),
                false => self.pool.reserve(member, bytes),
            };
            match reservation {
                Reservation::Deferred { short_bytes: 1.. } if self.evict_oldest() => {}
                reservation => return reservation,
            }
        }
    }

    /// Returns true if an instance that does not exist yet waits for memory. Such requests are
    /// served in order, or small instances would starve a large one. Requests of running instances
    /// may overtake them, since every waiter depends on those turns ending.
    fn has_initial_waiter(&self) -> bool {
        self.memory_waiters.iter().any(|request| request.is_initial && !request.done.is_closed())
    }

    /// Grants the queued requests that can be granted now, in order.
    fn serve_waiters(&mut self) {
        for request in std::mem::take(&mut self.memory_waiters) {
            if request.done.is_closed() {
                continue;
            }
            if request.is_initial && self.has_initial_waiter() {
                self.memory_waiters.push_back(request);
                continue;
            }
            match self.reserve(request.member, request.bytes, request.is_initial) {
                Reservation::Deferred { .. } => self.memory_waiters.push_back(request),
                // If the waiter has gone meanwhile, dropping its `InstanceMemory` frees the bytes.
                Reservation::Granted => drop(request.done.send(true)),
                Reservation::Impossible => drop(request.done.send(false)),
            }
        }
    }
}

impl Residence {
    /// Returns the memory admission that the sandbox consults for this instance.
    pub(crate) fn admission(&self) -> Arc<dyn MemoryAdmission> {
        self.memory.clone()
    }

    /// Marks the instance as idle. It can be evicted while the guard lives.
    pub(crate) fn idle(&self) -> IdleGuard {
        let residency = self.memory.residency.clone();
        let mut state = residency.state();
        let (key, evict) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        match state.pool.set_idle(self.memory.key) {
            Some(bytes) => {
                state.idle_bytes += bytes;
                let idle = IdleInstance { member: self.memory.key, bytes, evict: evict.clone() };
                state.idle.insert(key, idle);
            }
            // The instance was woken for another reason before it handled its eviction signal.
            None => evict.notify_one(),
        }
        while state.idle_bytes > state.idle_budget && state.evict_oldest() {}
        state.evict_for_waiters();
        state.serve_waiters();
        drop(state);
        IdleGuard { residency, key, evict }
    }

    /// Marks the instance as running again. Returns false if memory is too short; it must then be
    /// evicted.
    pub(crate) fn resume(&self) -> bool {
        let mut state = self.memory.residency.state();
        let may = state.pool.resume(self.memory.key);
        // This may have cancelled a pending eviction, so another instance has to go for that
        // waiter.
        state.evict_for_waiters();
        if !state.memory_waiters.is_empty() {
            state.serve_waiters();
        }
        may
    }
}

impl InstanceMemory {
    async fn reserve_or_wait(&self, bytes: u64, is_initial: bool) -> bool {
        let granted = {
            let mut state = self.residency.state();
            let reservation = match is_initial && state.has_initial_waiter() {
                true => Reservation::Deferred { short_bytes: 0 },
                false => state.reserve(self.key, bytes, is_initial),
            };
            match reservation {
                Reservation::Granted => return true,
                Reservation::Impossible => return false,
                Reservation::Deferred { .. } => {
                    let (done, granted) = oneshot::channel();
                    let member = self.key;
                    state.memory_waiters.push_back(MemoryWaiter {
                        member,
                        bytes,
                        is_initial,
                        done,
                    });
                    granted
                }
            }
        };
        granted.await.unwrap_or(false)
    }
}

impl MemoryAdmission for InstanceMemory {
    fn reserve(&self, bytes: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.reserve_or_wait(bytes, false))
    }

    fn release(&self, bytes: u64) {
        self.residency.state().pool.release(self.key, bytes);
    }
}

impl Drop for InstanceMemory {
    fn drop(&mut self) {
        let mut state = self.residency.state();
        state.pool.remove(self.key);
        state.serve_waiters();
    }
}

impl IdleGuard {
    /// Waits until the instance is to be evicted.
    pub(crate) async fn evicted(&self) {
        self.evict.notified().await;
    }

    /// Returns what notifies when the instance is to be evicted.
    pub(crate) fn eviction(&self) -> Arc<Notify> {
        self.evict.clone()
    }
}

impl Drop for IdleGuard {
    fn drop(&mut self) {
        let mut state = self.residency.state();
        if let Some(idle) = state.idle.remove(&self.key) {
            state.idle_bytes -= idle.bytes;
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

    fn residency(instances: usize, memory_bytes: u64, idle_bytes: u64) -> Arc<Residency> {
        Residency::new(ResidencyLimits { instances, memory_bytes, idle_bytes })
    }

    async fn live(residency: &Arc<Residency>, bytes: u64) -> Residence {
        let residence = residency.admit(0, bytes).await;
        assert!(residence.admission().reserve(bytes).await);
        residence
    }

    #[tokio::test]
    async fn the_longest_idle_instance_is_evicted_for_a_new_one() {
        let residency = residency(2, u64::MAX, u64::MAX);
        let (first, second) = (live(&residency, 10).await, live(&residency, 10).await);
        let (older, newer) = (first.idle(), second.idle());
        let third = residency.admit(0, 10);
        tokio::pin!(third);
        assert!(!is_ready(&mut third).await);
        assert!(is_ready(older.evicted()).await);
        assert!(!is_ready(newer.evicted()).await);
        drop((older, first));
        third.await;
        assert_eq!(residency.connected(), 1, "the third was dropped, the second is live");
    }

    #[tokio::test]
    async fn an_instance_that_becomes_idle_is_evicted_for_a_waiter() {
        let residency = residency(1, u64::MAX, u64::MAX);
        let only = live(&residency, 1).await;
        let waiting = residency.admit(0, 1);
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        assert!(is_ready(only.idle().evicted()).await);
        drop(only);
        waiting.await;
    }

    #[tokio::test]
    async fn idle_memory_is_bounded() {
        let residency = residency(9, u64::MAX, 100);
        let (a, b, c) =
            (live(&residency, 60).await, live(&residency, 40).await, live(&residency, 1).await);
        let (a, b) = (a.idle(), b.idle());
        assert!(!is_ready(a.evicted()).await);
        let c = c.idle();
        assert!(is_ready(a.evicted()).await);
        assert!(!is_ready(b.evicted()).await && !is_ready(c.evicted()).await);
    }

    #[tokio::test]
    async fn lack_of_memory_evicts_idle_instances_and_then_waits() {
        let residency = residency(9, 100, u64::MAX);
        let (a, b) = (live(&residency, 50).await, live(&residency, 50).await);
        let idle = a.idle();
        let waiting = residency.admit(50, 50);
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        assert!(is_ready(idle.evicted()).await, "the idle instance is evicted first");
        drop((idle, a));
        let third = waiting.await;
        let fourth = residency.admit(50, 50);
        tokio::pin!(fourth);
        assert!(!is_ready(&mut fourth).await, "no instance is idle");
        drop(b);
        drop((fourth.await, third));
        assert_eq!(residency.connected(), 0);
    }

    #[tokio::test]
    async fn a_cancelled_waiter_blocks_no_other() {
        let residency = residency(9, 100, u64::MAX);
        let a = live(&residency, 60).await;
        assert!(!is_ready(residency.admit(60, 60)).await);
        let b = residency.admit(0, 60).await;
        assert!(!is_ready(b.admission().reserve(60)).await);
        drop((a, b));
        live(&residency, 100).await;
    }

    #[tokio::test]
    async fn small_instances_do_not_starve_a_large_one() {
        let residency = residency(9, 100, u64::MAX);
        let running = live(&residency, 60).await;
        let large = residency.admit(60, 60);
        tokio::pin!(large);
        assert!(!is_ready(&mut large).await);
        let small = residency.admit(10, 10);
        tokio::pin!(small);
        assert!(!is_ready(&mut small).await, "it queues behind the large one");
        drop(running);
        drop((large.await, small.await));
        assert_eq!(residency.connected(), 0);
    }

    #[tokio::test]
    async fn an_instance_that_resumes_despite_eviction_is_evicted_after_its_turn() {
        let residency = residency(1, u64::MAX, u64::MAX);
        let only = live(&residency, 1).await;
        let idle = only.idle();
        let waiting = residency.admit(0, 1);
        tokio::pin!(waiting);
        assert!(!is_ready(&mut waiting).await);
        // The wake-up arrives at the same moment and takes priority.
        drop(idle);
        assert!(only.resume() && residency.has_waiters());
        assert!(is_ready(only.idle().evicted()).await);
        drop(only);
        waiting.await;
        assert!(!residency.has_waiters());
    }

    #[tokio::test]
    async fn too_many_memory_waiters_are_an_overload() {
        let residency = residency(1_000, 100, u64::MAX);
        let a = live(&residency, 100).await;
        let tasks: Vec<_> = (0..MAX_MEMORY_WAITERS)
            .map(|_| {
                let residency = residency.clone();
                tokio::spawn(async move { drop(residency.admit(1, 1).await) })
            })
            .collect();
        while !residency.is_overloaded() {
            tokio::task::yield_now().await;
        }
        drop(a);
        for task in tasks {
            task.await.unwrap();
        }
        assert!(!residency.is_overloaded());
    }
}
