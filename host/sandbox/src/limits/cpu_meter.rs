//! The CPU time of a guest, which can be read while the guest computes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use skep_protocol::limits::OFF;

/// The start of a turn that is timed by the clock on the wall, in nanoseconds.
///
/// A thread's own clock takes a system call: twice 0.36 µs, a third of a short call, and nine times
/// as long as the other. A thread that loses its core loses it for longer than this, so a stretch as
/// short has lost none. A longer one may include such a loss, until the next tick at most.
const BY_WALL: u64 = 100_000;

/// Counts the CPU time of one instance.
///
/// Only the thread that polls the guest uses it. It is atomic because the type has to be `Sync`.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    /// Time that was counted and not taken, in nanoseconds.
    used: AtomicU64,
    /// The clock at the last reading.
    mark: AtomicU64,
    /// True if that is the clock on the wall, and false if it is the thread's own.
    is_by_wall: AtomicBool,
    /// Time since the head of the guest's answer, in nanoseconds; [`OFF`] before.
    after_head: AtomicU64,
    most_after_head: u64,
}

impl CpuMeter {
    /// Creates a meter. `millis` bounds the time after the head of an answer.
    pub(crate) fn new(millis: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            is_by_wall: AtomicBool::new(true),
            after_head: AtomicU64::new(OFF),
            most_after_head: millis.saturating_mul(1_000_000),
        }
    }

    /// Begins a poll of the guest.
    pub(crate) fn resume(&self) {
        self.start(self.used.load(Ordering::Relaxed) < BY_WALL);
    }

    fn start(&self, is_by_wall: bool) {
        self.is_by_wall.store(is_by_wall, Ordering::Relaxed);
        self.mark.store(clock(is_by_wall), Ordering::Relaxed);
    }

    /// Counts the time since the last reading, within a poll or at its end, and returns it.
    pub(crate) fn lap(&self) -> Duration {
        let is_by_wall = self.is_by_wall.load(Ordering::Relaxed);
        let now = clock(is_by_wall);
        let lap = now.saturating_sub(self.mark.swap(now, Ordering::Relaxed));
        let used = self.used.fetch_add(lap, Ordering::Relaxed) + lap;
        if is_by_wall && used >= BY_WALL {
            self.start(false);
        }
        if self.is_answering() {
            self.after_head.fetch_add(lap, Ordering::Relaxed);
        }
        Duration::from_nanos(lap)
    }

    /// Counts the time after the head of an answer from now on, within a poll.
    pub(crate) fn begin_answer(&self) {
        if !self.is_answering() {
            self.lap();
            self.after_head.store(0, Ordering::Relaxed);
        }
    }

    /// Returns true if the guest has sent the head of its answer.
    pub(crate) fn is_answering(&self) -> bool {
        self.after_head.load(Ordering::Relaxed) != OFF
    }

    /// Returns true if the guest has used more time after the head of its answer than it may.
    pub(crate) fn is_past(&self) -> bool {
        self.is_answering() && self.after_head.load(Ordering::Relaxed) > self.most_after_head
    }

    /// Returns the time that was counted since the last call, and counts anew.
    pub(crate) fn take(&self) -> Duration {
        self.after_head.store(OFF, Ordering::Relaxed);
        Duration::from_nanos(self.used.swap(0, Ordering::Relaxed))
    }
}

/// Reads a clock, in nanoseconds. The thread's own stands still while other programs have the core.
fn clock(is_by_wall: bool) -> u64 {
    let clock = if is_by_wall { ClockId::Monotonic } else { ClockId::ThreadCPUTime };
    let time = clock_gettime(clock);
    let time = Duration::try_from(time).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes until the meter has counted this much.
    fn compute(meter: &CpuMeter, time: Duration) {
        let mut counted = Duration::ZERO;
        while counted < time {
            counted += meter.lap();
        }
    }

    #[test]
    fn only_the_time_after_the_head_is_bounded() {
        let meter = CpuMeter::new(5);
        let long = Duration::from_millis(8);
        meter.resume();
        compute(&meter, long);
        assert!(!meter.is_past());
        meter.begin_answer();
        assert!(meter.is_answering() && !meter.is_past());
        compute(&meter, long);
        assert!(meter.is_past());
        assert!(meter.take() >= 2 * long);
        // The next request counts anew.
        assert!(!meter.is_past() && !meter.is_answering());
        let unbounded = CpuMeter::new(OFF);
        unbounded.resume();
        unbounded.begin_answer();
        compute(&unbounded, long);
        assert!(!unbounded.is_past());
    }
    #[test]
    fn a_guest_that_has_computed_is_not_charged_for_time_without_a_core() {
        let meter = CpuMeter::new(OFF);
        let asleep = || {
            meter.resume();
            std::thread::sleep(Duration::from_millis(20));
            meter.lap()
        };
        assert!(asleep() >= Duration::from_millis(20));
        assert!(asleep() < Duration::from_millis(10));
        // The next turn begins by the wall clock.
        meter.take();
        assert!(asleep() >= Duration::from_millis(20));
    }
}
