//! Memory that this process no longer uses and its allocator keeps.
//!
//! glibc hands free memory back from the end of each of its heaps only, and lets that end grow to 64
//! MiB. What one turn or one upload took for a moment the host would hold for good, once for each of
//! its threads.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Between two times.
const PAUSE: Duration = Duration::from_secs(3);

/// CPU time after which there may be something to give. A host at rest uses a hundredth of that.
const WORK: Duration = Duration::from_millis(100);

/// When it was last done.
#[derive(Debug)]
pub(super) struct Heap {
    at: Instant,
    cpu: Duration,
}

impl Heap {
    pub(super) fn new() -> Self {
        Self { at: Instant::now(), cpu: cpu() }
    }

    /// Gives back what is free, if the process has worked since it last did. Takes milliseconds
    /// where there is much to give.
    pub(super) fn give_back(&mut self) {
        if self.at.elapsed() >= PAUSE && cpu().saturating_sub(self.cpu) >= WORK {
            trim();
            *self = Self::new();
        }
    }
}

/// CPU time of this process.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of the C library that Rust has no name for")]
fn trim() {
    // SAFETY: it is declared so in malloc.h, takes a number, and may be called by any thread.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // Whether there was anything to give is of no interest.
    malloc_trim(0);
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}
