//! Which workers have a live instance: so many at once, and the longest idle go first.
//!
//! An instance that handles an input is never taken. One that rests may be, for lack of places or
//! of memory; its worker notices nothing but a slower next turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places for live instances.
#[derive(Debug)]
pub(crate) struct Residency {
    places: Arc<Semaphore>,
    total: usize,
    idle: Mutex<Idle>,
}

#[derive(Debug)]
struct Idle {
    budget: u64,
    bytes: u64,
    next: u64,
    /// Workers that wait for a place, less those that one was already asked to leave for.
    wanted: usize,
    /// By when they came to rest.
    resting: BTreeMap<u64, (u64, Arc<Notify>)>,
}

/// A place for one instance.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// An instance that handles nothing and may be taken.
#[derive(Debug)]
pub(crate) struct Resting<'a> {
    residency: &'a Residency,
    key: u64,
    leave: Arc<Notify>,
}

impl Residency {
    /// So many places, and so many bytes of memory for those that rest.
    pub(crate) fn new(places: usize, idle_bytes: u64) -> Self {
        let idle =
            Idle { budget: idle_bytes, bytes: 0, next: 0, wanted: 0, resting: BTreeMap::new() };
        Self { places: Arc::new(Semaphore::new(places)), total: places, idle: Mutex::new(idle) }
    }

    /// A place, taken from the longest idle where there is none left.
    pub(crate) async fn place(&self) -> Place {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                {
                    let mut idle = self.idle();
                    if !idle.evict_oldest() {
                        idle.wanted += 1;
                    }
                }
                let permit = self.places.clone().acquire_owned().await;
                permit.expect("the places are never closed")
            }
        };
        Place { _permit: permit }
    }

    /// Says that an instance with this much memory rests.
    pub(crate) fn rest(&self, bytes: u64) -> Resting<'_> {
        let mut idle = self.idle();
        let (key, leave) = (idle.next, Arc::new(Notify::new()));
        idle.next += 1;
        idle.bytes += bytes;
        idle.resting.insert(key, (bytes, leave.clone()));
        while idle.bytes > idle.budget && idle.evict_oldest() {}
        if idle.wanted > 0 && idle.evict_oldest() {
            idle.wanted -= 1;
        }
        drop(idle);
        Resting { residency: self, key, leave }
    }

    /// Live instances.
    pub(crate) fn connected(&self) -> usize {
        self.total - self.places.available_permits()
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn evict_oldest(&mut self) -> bool {
        let Some((_, (bytes, leave))) = self.resting.pop_first() else { return false };
        self.bytes -= bytes;
        leave.notify_one();
        true
    }
}

impl Resting<'_> {
    /// Waits until the instance is to leave.
    pub(crate) async fn evicted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        let mut idle = self.residency.idle();
        if let Some((bytes, _)) = idle.resting.remove(&self.key) {
            idle.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_evicted(resting: &Resting<'_>) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, resting.evicted()).await.is_ok()
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_for_a_newcomer() {
        let residency = Residency::new(2, u64::MAX);
        let (first, _second) = (residency.place().await, residency.place().await);
        let older = residency.rest(10);
        let newer = residency.rest(10);
        let third = residency.place();
        tokio::pin!(third);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut third).await.is_err());
        assert!(is_evicted(&older).await);
        assert!(!is_evicted(&newer).await);
        drop((older, first));
        third.await;
        assert_eq!(residency.connected(), 1, "the third has gone again, the second is there");
    }

    #[tokio::test]
    async fn one_that_comes_to_rest_leaves_for_whoever_waits() {
        let residency = Residency::new(1, u64::MAX);
        let place = residency.place().await;
        let waiting = residency.place();
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut waiting).await.is_err());
        assert!(is_evicted(&residency.rest(1)).await);
        drop(place);
        waiting.await;
    }

    #[tokio::test]
    async fn idle_memory_is_bounded() {
        let residency = Residency::new(9, 100);
        let (a, b) = (residency.rest(60), residency.rest(40));
        assert!(!is_evicted(&a).await);
        let c = residency.rest(1);
        assert!(is_evicted(&a).await);
        assert!(!is_evicted(&b).await && !is_evicted(&c).await);
    }
}
