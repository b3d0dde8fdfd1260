//! The guest's clocks: the host's, or virtual clocks that make every run the same.
//!
//! If virtual time stood still, a guest that polls the clock would loop forever and a sleep would
//! never end. Each reading therefore advances it by a microsecond, and a sleep advances it by its
//! whole duration without waiting. If a guest waits for several timers, time advances to the
//! earliest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use wasmtime_wasi_io::poll::Pollable;

/// The start of virtual time: 2000-01-01T00:00:00Z. It is also the time of every file in a
/// deterministic run.
pub(crate) const VIRTUAL_EPOCH: Duration = Duration::from_secs(946_684_800);

const READING: Duration = Duration::from_micros(1);

/// A monotonic and a wall clock.
#[derive(Clone, Debug)]
pub(crate) enum Clocks {
    Host { started: Instant },
    Virtual(Arc<Mutex<VirtualTime>>),
}

/// Virtual time since the run began, and the timers that a guest is waiting for.
#[derive(Debug, Default)]
pub(crate) struct VirtualTime {
    elapsed: Duration,
    next: u64,
    timers: BTreeSet<(Duration, u64)>,
}

impl Clocks {
    pub(crate) fn host() -> Self {
        Self::Host { started: Instant::now() }
    }

    pub(crate) fn virtual_time() -> Self {
        Self::Virtual(Arc::default())
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    /// Returns the time since the run began.
    pub(crate) fn monotonic(&self) -> Duration {
        match self {
            Self::Host { started } => started.elapsed(),
            Self::Virtual(time) => {
                let mut time = lock(time);
                time.elapsed = time.elapsed.saturating_add(READING);
                time.elapsed
            }
        }
    }

    /// Returns the time since 1970.
    pub(crate) fn wall(&self) -> Duration {
        match self {
            Self::Host { .. } => {
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
            }
            Self::Virtual(_) => VIRTUAL_EPOCH.saturating_add(self.monotonic()),
        }
    }

    /// Returns the resolution of both clocks.
    pub(crate) fn resolution(&self) -> Duration {
        match self {
            Self::Host { .. } => Duration::from_nanos(1),
            Self::Virtual(_) => READING,
        }
    }

    /// Returns a timer that is ready once the monotonic clock reaches `when`.
    pub(crate) fn timer_at(&self, when: Duration) -> Timer {
        match self {
            Self::Host { started } => Timer::Host { at: started.checked_add(when), polled: false },
            Self::Virtual(time) => Timer::Virtual { time: time.clone(), at: when },
        }
    }

    /// Returns a timer that is ready after `duration`.
    pub(crate) fn timer_after(&self, duration: Duration) -> Timer {
        self.timer_at(self.monotonic().saturating_add(duration))
    }
}

/// A timer that a guest can wait for.
pub(crate) enum Timer {
    /// `None` is beyond the range of the host's clock, and is never ready.
    Host { at: Option<Instant>, polled: bool },
    /// Ready once virtual time reaches `at`.
    Virtual { time: Arc<Mutex<VirtualTime>>, at: Duration },
}

#[async_trait::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match self {
            Self::Host { at: None, .. } => std::future::pending().await,
            Self::Host { at: Some(at), polled } => {
                // A guest that polls an expired timer in a loop must still let other guests run.
                if *at <= Instant::now() && !*polled {
                    *polled = true;
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep_until((*at).into()).await;
            }
            Self::Virtual { time, at } => wait_virtually(time, *at).await,
        }
    }
}

async fn wait_virtually(time: &Arc<Mutex<VirtualTime>>, at: Duration) {
    let waiting = VirtualTimer::enter(time, at);
    loop {
        // Other timers in the same wait are polled first and register themselves.
        tokio::task::yield_now().await;
        let mut now = lock(time);
        if now.elapsed < at && now.timers.first() == Some(&waiting.key) {
            now.elapsed = at;
        }
        if now.elapsed >= at {
            return;
        }
    }
}

struct VirtualTimer<'a> {
    time: &'a Mutex<VirtualTime>,
    key: (Duration, u64),
}

impl<'a> VirtualTimer<'a> {
    fn enter(time: &'a Mutex<VirtualTime>, at: Duration) -> Self {
        let mut now = lock(time);
        now.next += 1;
        let key = (at, now.next);
        now.timers.insert(key);
        Self { time, key }
    }
}

impl Drop for VirtualTimer<'_> {
    fn drop(&mut self) {
        lock(self.time).timers.remove(&self.key);
    }
}

fn lock(time: &Mutex<VirtualTime>) -> MutexGuard<'_, VirtualTime> {
    time.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn a_virtual_sleep_advances_the_clock_without_waiting() {
        let clocks = Clocks::virtual_time();
        let before = clocks.monotonic();
        let began = Instant::now();
        block_on(clocks.timer_after(Duration::from_secs(3600)).ready());
        assert!(began.elapsed() < Duration::from_secs(60));
        assert!(clocks.monotonic() >= before + Duration::from_secs(3600));
    }

    #[test]
    fn only_the_earliest_virtual_timer_fires() {
        let clocks = Clocks::virtual_time();
        let (mut late, mut soon) = (
            clocks.timer_after(Duration::from_secs(60)),
            clocks.timer_after(Duration::from_secs(1)),
        );
        let first = block_on(async {
            tokio::select! {
                biased;
                () = late.ready() => "late",
                () = soon.ready() => "soon",
            }
        });
        assert_eq!(first, "soon");
        assert!(clocks.monotonic() < Duration::from_secs(2));
    }
}
