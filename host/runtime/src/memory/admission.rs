//! The memory pool that all instances of a runtime share.
//!
//! The pool overcommits: most instances need far less than their limit allows. But each may reach
//! its limit, and a running instance returns memory only when its turn ends. The pool therefore
//! grants a reservation only if all running turns can still finish one after the other, each with
//! its full limit (Dijkstra's banker's algorithm). A deferred request waits for the end of another
//! turn, which that turn's deadline guarantees. The result of a turn never depends on the memory
//! use of others.
//!
//! Memory of idle instances can be reclaimed at any time, so the safety check ignores it.

use std::collections::BTreeMap;

/// The accounting of the pool.
#[derive(Debug)]
pub(crate) struct MemoryPool {
    total: u64,
    members: BTreeMap<u64, PoolMember>,
    next: u64,
    /// Sum of the members' reservations.
    reserved: u64,
    /// Number of pending evictions and the bytes that they will free.
    pending_evictions: usize,
    evicting_bytes: u64,
}

#[derive(Debug)]
struct PoolMember {
    /// The most that it may ever reserve.
    limit: u64,
    /// Reserved bytes: those in use and those reserved in advance.
    reserved: u64,
    used: u64,
    running: bool,
    evicting: bool,
}

/// The outcome of a reservation request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reservation {
    /// The bytes are reserved.
    Granted,
    /// Must wait for other turns to end, or for the eviction of `short_bytes` of idle instances.
    Deferred { short_bytes: u64 },
    /// The request exceeds the limit of the instance.
    Impossible,
}

impl MemoryPool {
    pub(crate) fn new(total: u64) -> Self {
        Self {
            total,
            members: BTreeMap::new(),
            next: 0,
            reserved: 0,
            pending_evictions: 0,
            evicting_bytes: 0,
        }
    }

    /// Returns the sum of all reservations in bytes.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Adds an instance that is about to run, and returns its key.
    pub(crate) fn add(&mut self, limit: u64) -> u64 {
        let key = self.next;
        self.next += 1;
        let limit = limit.min(self.total);
        let member = PoolMember { limit, reserved: 0, used: 0, running: true, evicting: false };
        self.members.insert(key, member);
        key
    }

    /// Removes an instance and frees its reservation.
    pub(crate) fn remove(&mut self, key: u64) {
        let Some(member) = self.members.remove(&key) else { return };
        self.reserved -= member.reserved;
        if member.evicting {
            self.pending_evictions -= 1;
            self.evicting_bytes -= member.reserved;
        }
    }

    /// Returns the number of evictions that were signalled and are not complete.
    pub(crate) fn pending_evictions(&self) -> usize {
        self.pending_evictions
    }

    /// Reserves memory in advance for an instance that does not exist yet.
    pub(crate) fn reserve_initial(&mut self, key: u64, bytes: u64) -> Reservation {
        let Some(member) = self.members.get(&key) else { return Reservation::Impossible };
        self.grow(key, bytes.min(member.limit))
    }

    /// Reserves memory that an instance is about to use.
    pub(crate) fn reserve(&mut self, key: u64, bytes: u64) -> Reservation {
        let Some(member) = self.members.get_mut(&key) else { return Reservation::Impossible };
        member.running = true;
        let used = member.used.saturating_add(bytes);
        if used > member.limit {
            return Reservation::Impossible;
        }
        let (reserved, reservation) = (member.reserved, Reservation::Granted);
        let reservation = if used > reserved { self.grow(key, used) } else { reservation };
        if let (Reservation::Granted, Some(member)) = (reservation, self.members.get_mut(&key)) {
            member.used = used;
        }
        reservation
    }

    /// Marks bytes as unused. They stay reserved, since the same turn may need them again.
    pub(crate) fn release(&mut self, key: u64, bytes: u64) {
        if let Some(member) = self.members.get_mut(&key) {
            member.used = member.used.saturating_sub(bytes);
        }
    }

    /// Ends the turn of an instance: reduces the reservation to what is in use and makes the
    /// instance evictable. Returns the reserved bytes, or `None` if its eviction is already
    /// pending.
    pub(crate) fn set_idle(&mut self, key: u64) -> Option<u64> {
        let member = self.members.get_mut(&key)?;
        if member.evicting {
            return None;
        }
        member.running = false;
        self.reserved -= member.reserved - member.used;
        member.reserved = member.used;
        Some(member.reserved)
    }

    /// Marks an idle instance as running again, if that is safe. If not, it must be evicted and
    /// created anew.
    pub(crate) fn resume(&mut self, key: u64) -> bool {
        let Some(member) = self.members.get_mut(&key) else { return false };
        member.running = true;
        if std::mem::take(&mut member.evicting) {
            self.pending_evictions -= 1;
            self.evicting_bytes -= member.reserved;
        }
        let safe = self.is_safe();
        if let (false, Some(member)) = (safe, self.members.get_mut(&key)) {
            member.running = false;
        }
        safe
    }

    /// Marks an idle instance as being evicted.
    pub(crate) fn set_evicting(&mut self, key: u64) {
        if let Some(member) = self.members.get_mut(&key)
            && !std::mem::replace(&mut member.evicting, true)
        {
            self.pending_evictions += 1;
            self.evicting_bytes += member.reserved;
        }
    }

    /// Raises the reservation of a member to `reserved` bytes.
    fn grow(&mut self, key: u64, reserved: u64) -> Reservation {
        let Some(member) = self.members.get_mut(&key) else { return Reservation::Impossible };
        let missing = reserved.saturating_sub(member.reserved);
        member.reserved += missing;
        self.reserved += missing;
        let short = self.reserved.saturating_sub(self.total);
        let safe = self.is_safe();
        if safe && short == 0 {
            return Reservation::Granted;
        }
        if let Some(member) = self.members.get_mut(&key) {
            member.reserved -= missing;
            self.reserved -= missing;
        }
        let short_bytes = if safe { short.saturating_sub(self.evicting_bytes) } else { 0 };
        Reservation::Deferred { short_bytes }
    }

    /// Returns true if all running instances can finish one after the other, each with its full
    /// limit.
    fn is_safe(&self) -> bool {
        let running = || self.members.values().filter(|member| member.running);
        let most = running().map(|member| member.limit).fold(0, u64::saturating_add);
        if most <= self.total {
            return true;
        }
        let reserved_bytes: u64 = running().map(|member| member.reserved).sum();
        let Some(mut free) = self.total.checked_sub(reserved_bytes) else { return false };
        let mut needs: Vec<(u64, u64)> = running()
            .map(|member| (member.limit.saturating_sub(member.reserved), member.reserved))
            .collect();
        needs.sort_unstable();
        needs.into_iter().all(|(need, reserved)| {
            let ends = need <= free;
            free += reserved;
            ends
        })
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    const DEFERRED: Reservation = Reservation::Deferred { short_bytes: 0 };

    #[test]
    fn a_reservation_leaves_enough_for_one_turn_to_finish() {
        let mut pool = MemoryPool::new(100);
        let (a, b) = (pool.add(80), pool.add(80));
        assert_eq!(pool.reserve(a, 40), Reservation::Granted);
        assert_eq!(
            pool.reserve(b, 20),
            Reservation::Granted,
            "60 reserved; a can still get its 40"
        );
        assert_eq!(pool.reserve(b, 1), DEFERRED, "then neither could finish");
        assert_eq!(pool.reserve(a, 40), Reservation::Granted);
        assert_eq!(pool.reserve(b, 1), DEFERRED);
        pool.remove(a);
        assert_eq!(pool.reserve(b, 60), Reservation::Granted);
        assert_eq!(pool.reserve(b, 1), Reservation::Impossible, "beyond its own limit");
    }

    #[test]
    fn a_request_that_can_finish_overtakes_an_earlier_one() {
        let mut pool = MemoryPool::new(100);
        let (large, small) = (pool.add(100), pool.add(10));
        assert_eq!(pool.reserve(small, 5), Reservation::Granted);
        assert_eq!(pool.reserve(large, 95), DEFERRED, "then small could not get its last 5");
        assert_eq!(pool.reserve(large, 90), Reservation::Granted);
        assert_eq!(pool.reserve(large, 5), DEFERRED);
        assert_eq!(pool.reserve(small, 5), Reservation::Granted, "although large asked first");
        pool.remove(small);
        assert_eq!(pool.reserve(large, 10), Reservation::Granted);
    }

    #[test]
    fn an_idle_instance_defers_a_request_until_it_is_evicted() {
        let mut pool = MemoryPool::new(100);
        let (a, b) = (pool.add(60), pool.add(80));
        assert_eq!(pool.reserve(a, 60), Reservation::Granted);
        assert_eq!(pool.reserve(b, 80), DEFERRED, "a is running");
        assert_eq!(pool.set_idle(a), Some(60));
        assert_eq!(pool.reserve(b, 80), Reservation::Deferred { short_bytes: 40 });
        pool.set_evicting(a);
        assert_eq!(pool.set_idle(a), None);
        assert_eq!(pool.reserve(b, 80), DEFERRED, "its eviction is pending");
        pool.remove(a);
        assert_eq!(pool.reserve(b, 80), Reservation::Granted);
    }

    #[test]
    fn an_idle_instance_resumes_only_if_all_can_still_finish() {
        let mut pool = MemoryPool::new(100);
        let (a, b) = (pool.add(60), pool.add(60));
        assert_eq!(pool.reserve(a, 50), Reservation::Granted);
        pool.set_idle(a);
        assert_eq!(pool.reserve(b, 45), Reservation::Granted, "a can be evicted");
        assert!(!pool.resume(a), "neither could get its last 10");
        pool.set_evicting(a);
        pool.remove(b);
        assert!(pool.resume(a));
        assert_eq!(pool.reserve(a, 10), Reservation::Granted);
    }

    #[test]
    fn an_initial_reservation_is_returned_when_idle() {
        let mut pool = MemoryPool::new(100);
        let (a, b) = (pool.add(90), pool.add(90));
        assert_eq!(pool.reserve_initial(a, 1_000), Reservation::Granted, "capped at its limit");
        assert_eq!(pool.reserve_initial(b, 11), DEFERRED);
        assert_eq!(pool.reserve(a, 30), Reservation::Granted);
        pool.release(a, 10);
        assert_eq!(pool.set_idle(a), Some(20));
        assert_eq!(pool.reserve_initial(b, 80), Reservation::Granted);
    }

    /// Random members reserve and finish: all of them finish, and reservations never exceed the
    /// total.
    #[test]
    fn every_member_finishes() {
        let mut random = 7u64;
        let mut below = move |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % bound
        };
        for _ in 0..300 {
            let mut pool = MemoryPool::new(100);
            let mut open: Vec<(u64, u64)> = Vec::new();
            let (mut begun, mut stuck) = (0, 0);
            while begun < 40 || !open.is_empty() {
                if begun < 40 && below(3) == 0 {
                    let limit = 1 + below(100);
                    open.push((pool.add(limit), limit));
                    begun += 1;
                }
                let mut progressed = false;
                for index in (0..open.len()).rev() {
                    let (key, left) = open[index];
                    let bytes = (1 + below(40)).min(left);
                    if bytes == 0 {
                        pool.remove(key);
                        open.swap_remove(index);
                        progressed = true;
                    } else if pool.reserve(key, bytes) == Reservation::Granted {
                        open[index].1 -= bytes;
                        progressed = true;
                    }
                    assert!(pool.reserved <= 100);
                }
                // A smaller request may succeed where a larger one did not.
                stuck = if progressed || open.is_empty() { 0 } else { stuck + 1 };
                assert!(stuck < 1_000, "deadlock: {pool:?}");
            }
            assert_eq!(pool.reserved, 0);
        }
    }
}
