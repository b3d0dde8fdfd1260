//! Memory that this process no longer uses and its allocator keeps.
//!
//! glibc hands free memory back from the end of each of its heaps only, and lets that end grow to 64
//! MiB. What one turn or one upload took for a moment the host would hold for good, once for each of
//! its threads. Asking for all of it back from time to time does not help there: that looks between
//! what is in use, and at the end of the first heap, but at the end of no other. So that end is kept
//! short as well.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Between two times.
const PAUSE: Duration = Duration::from_secs(3);

/// CPU time after which there may be something to give. A host at rest uses a hundredth of that.
const WORK: Duration = Duration::from_millis(100);

/// The most that is kept at the end of a heap, and the largest piece that is taken from one. Larger
/// ones come from the system and go back to it, each time.
const END: std::ffi::c_int = 1 << 20;

/// When it was last done.
#[derive(Debug)]
pub(crate) struct Heap {
    at: Instant,
    cpu: Duration,
}

impl Heap {
    /// Sets the limits of this process's heaps.
    pub(crate) fn new() -> Self {
        keep_ends_short();
        Self::done()
    }

    fn done() -> Self {
        Self { at: Instant::now(), cpu: cpu() }
    }

    /// Gives back what is free, if the process has worked since it last did. Takes milliseconds
    /// where there is much to give.
    pub(crate) fn give_back(&mut self) {
        if self.at.elapsed() >= PAUSE && cpu().saturating_sub(self.cpu) >= WORK {
            trim();
            *self = Self::done();
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

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of the C library that Rust has no name for")]
fn keep_ends_short() {
    const M_TRIM_THRESHOLD: std::ffi::c_int = -1;
    const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
    // SAFETY: it is declared so in malloc.h, takes two numbers, and may be called by any thread.
    unsafe extern "C" {
        safe fn mallopt(param: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
    }
    // Setting either ends that glibc raises both by itself. It takes any number.
    mallopt(M_TRIM_THRESHOLD, END);
    mallopt(M_MMAP_THRESHOLD, END);
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(not(target_env = "gnu"))]
fn keep_ends_short() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    #[test]
    fn what_a_thread_has_freed_is_given_back_while_it_lives() {
        let _heap = Heap::new();
        let before = anonymous_bytes();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (freed, is_freed) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // A block that is mapped and freed would raise both limits, if they were glibc's.
            drop(vec![1_u8; 24 << 20]);
            let blocks: Vec<_> = (0..1_500_u32).map(|_| vec![1_u8; 32 << 10]).collect();
            drop(blocks);
            freed.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        is_freed.recv().unwrap();
        // Other tests of this process take and free memory meanwhile.
        let until = Instant::now() + Duration::from_secs(20);
        while anonymous_bytes() > before + (24 << 20) {
            trim();
            assert!(Instant::now() < until, "{} and {before}", anonymous_bytes());
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(done);
        thread.join().unwrap();
    }
}
