//! The engine's clock: one thread that advances the epoch and throws the switch of whoever is late.
//!
//! Deadlines live here, and not in a timer of the guest's own task, because that task is the one
//! thing that cannot be relied on to be polled: its guest may compute without end, or block in a
//! write to a pipe that nobody reads.
//!
//! While no guest runs the thread sleeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use wasmtime::EngineWeak;

use crate::kill::{KillReason, KillSwitch};

/// How often a computing guest looks up.
const TICK: Duration = Duration::from_millis(5);

/// Ticks without a guest before the thread sleeps. Going to sleep after each call would make every
/// short call pay for waking it.
const IDLE_TICKS: u32 = 20;

#[derive(Debug)]
pub(crate) struct Ticker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    guests: usize,
    asleep: bool,
    closed: bool,
    next: u64,
    deadlines: BTreeMap<(Instant, u64), Weak<KillSwitch>>,
}

/// A guest is running; ends when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    deadline: Option<(Instant, u64)>,
}

impl Ticker {
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), wake: Condvar::new() });
        let thread = shared.clone();
        std::thread::Builder::new()
            .name("skep-ticker".into())
            .spawn(move || thread.run(&engine))?;
        Ok(Self(shared))
    }

    /// Registers a running guest, with the moment it has to be done, if there is one.
    pub(crate) fn enter(&self, deadline: Option<Instant>, kill: &Arc<KillSwitch>) -> Running {
        let mut state = self.0.state();
        state.guests += 1;
        let deadline = deadline.map(|at| {
            state.next += 1;
            let key = (at, state.next);
            state.deadlines.insert(key, Arc::downgrade(kill));
            key
        });
        if state.asleep {
            self.0.wake.notify_one();
        }
        Running { shared: self.0.clone(), deadline }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.wake.notify_one();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.guests -= 1;
        if let Some(key) = self.deadline {
            state.deadlines.remove(&key);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
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
            let now = Instant::now();
            while let Some(first) = state.deadlines.first_entry()
                && first.key().0 <= now
            {
                if let Some(kill) = first.remove().upgrade() {
                    kill.throw(KillReason::Deadline);
                }
            }
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            drop(engine);
            (state, _) =
                self.wake.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
