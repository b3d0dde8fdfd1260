//! The engine's clock: one thread that advances the epoch and ends guests at their deadlines.
//!
//! Deadlines are kept here and not in a timer of the guest's task, because that task may not be
//! polled: its guest may compute forever, or block in a write to a pipe without a reader.
//!
//! The thread sleeps while no guest runs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use wasmtime::EngineWeak;

use crate::limits::kill::{KillReason, KillSwitch};
use crate::limits::slice;

/// The interval at which computing guests check for interruption. A short turn waits for about one
/// interval, a few times, while others compute. A tick costs the thread some microseconds.
const TICK: Duration = Duration::from_millis(1);

/// The interval while only one guest runs, so that none waits for its slot. With a tick each
/// millisecond, a process took 3 to 6 % more CPU time than its guest on a machine with a load of 12.
const LONE_TICK: Duration = Duration::from_millis(4);

/// Ticks without a guest before the thread sleeps. Sleeping after every call would make each short
/// call pay for a wake-up.
const IDLE_TICKS: u32 = 100;

#[derive(Debug)]
pub(crate) struct Ticker(Arc<SharedTicker>);

#[derive(Debug)]
struct SharedTicker {
    state: Mutex<TickerState>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct TickerState {
    guests: usize,
    asleep: bool,
    closed: bool,
    deadlines: DeadlineTable,
}

/// The deadlines of running guests, each in its own place.
///
/// Every tick scans all of them, unsorted. Guests come and go within microseconds, hundreds of
/// thousands of times per scan of at most a few thousand places.
#[derive(Debug, Default)]
struct DeadlineTable {
    places: Vec<Option<(Instant, Weak<KillSwitch>)>>,
    free: Vec<usize>,
}

/// Marks a guest as running until it is dropped.
#[derive(Debug)]
pub(crate) struct RunningGuest<'a> {
    shared: &'a SharedTicker,
    place: Option<usize>,
}

impl Ticker {
    /// Creates a ticker whose thread is not started.
    pub(crate) fn stopped() -> Self {
        Self(Arc::new(SharedTicker {
            state: Mutex::new(TickerState::default()),
            wake: Condvar::new(),
        }))
    }

    /// Starts the thread. Called once.
    pub(crate) fn start(&self, engine: EngineWeak) -> std::io::Result<()> {
        let thread = self.0.clone();
        let thread = move || {
            slice::request_short_slice();
            thread.run(&engine);
        };
        std::thread::Builder::new().name("skep-ticker".into()).spawn(thread).map(drop)
    }

    /// Registers a running guest and its deadline, if it has one.
    pub(crate) fn enter(
        &self,
        deadline: Option<Instant>,
        kill: &Arc<KillSwitch>,
    ) -> RunningGuest<'_> {
        let mut state = self.0.state();
        state.guests += 1;
        let place = deadline.map(|at| state.deadlines.add(at, Arc::downgrade(kill)));
        if state.asleep {
            self.0.wake.notify_one();
        }
        RunningGuest { shared: &self.0, place }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.wake.notify_one();
    }
}

impl Drop for RunningGuest<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.guests -= 1;
        if let Some(place) = self.place {
            state.deadlines.remove(place);
        }
    }
}

impl DeadlineTable {
    fn add(&mut self, at: Instant, kill: Weak<KillSwitch>) -> usize {
        let deadline = Some((at, kill));
        match self.free.pop() {
            Some(place) => {
                self.places[place] = deadline;
                place
            }
            None => {
                self.places.push(deadline);
                self.places.len() - 1
            }
        }
    }

    fn remove(&mut self, place: usize) {
        self.places[place] = None;
        self.free.push(place);
    }

    /// Throws the kill switches of expired deadlines, each once.
    fn pass(&mut self, now: Instant) {
        for deadline in &mut self.places {
            if let Some((_, kill)) = deadline.take_if(|(at, _)| *at <= now)
                && let Some(kill) = kill.upgrade()
            {
                kill.throw(KillReason::Deadline);
            }
        }
    }
}

impl SharedTicker {
    fn state(&self) -> MutexGuard<'_, TickerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, engine: &EngineWeak) {
        let mut idle = 0;
        let mut state = self.state();
        while !state.closed {
            idle = if state.guests == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                state.asleep = true;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep = false;
                continue;
            }
            state.deadlines.pass(Instant::now());
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            drop(engine);
            let tick = if state.guests == 1 { LONE_TICK } else { TICK };
            (state, _) =
                self.wake.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_expired_deadlines_fire_and_places_are_reused() {
        let mut deadlines = DeadlineTable::default();
        let [early, late, gone] = [(); 3].map(|()| Arc::new(KillSwitch::default()));
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        let at_hand = deadlines.add(now, Arc::downgrade(&early));
        deadlines.add(now + hour, Arc::downgrade(&late));
        let left = deadlines.add(now, Arc::downgrade(&gone));
        deadlines.remove(left);
        deadlines.pass(now);
        assert_eq!(early.reason(), Some(KillReason::Deadline));
        assert_eq!(late.reason(), None);
        assert_eq!(gone.reason(), None);

        deadlines.remove(at_hand);
        let again = deadlines.add(now + hour, Arc::downgrade(&early));
        assert_eq!(again, at_hand);
        assert_eq!(deadlines.places.len(), 3);
    }
}
