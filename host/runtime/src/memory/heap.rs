//! Returns memory that the allocator keeps after this process freed it.
//!
//! glibc returns free memory only from the top of each of its heaps, and lets an unused top grow to
//! 64 MiB. The host would keep the peak memory of a single turn or upload for good, once per
//! thread. A periodic `malloc_trim` alone does not help: it releases free pages between blocks and
//! the top of the main heap, but not the tops of the other heaps. So the tops are kept short as
//! well.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Minimum time between two trims.
const MIN_INTERVAL: Duration = Duration::from_secs(3);

/// Minimum CPU time between two trims. An idle host uses a hundredth of it.
const MIN_CPU: Duration = Duration::from_millis(100);

/// Maximum size of an unused heap top, and of a block allocated from a heap. Larger blocks are
/// mapped and unmapped individually.
const MAX_HEAP_TOP: std::ffi::c_int = 1 << 20;

/// Time and CPU time of the last trim.
#[derive(Debug)]
pub(crate) struct Heap {
    at: Instant,
    cpu: Duration,
}

impl Heap {
    /// Sets the limits of this process's heaps.
    pub(crate) fn new() -> Self {
        limit_heap_tops();
        Self::trimmed_now()
    }

    fn trimmed_now() -> Self {
        Self { at: Instant::now(), cpu: cpu() }
    }

    /// Trims the heaps if the process has used enough CPU time since the last trim. Takes
    /// milliseconds if there is much to return.
    pub(crate) fn trim_if_due(&mut self) {
        if self.at.elapsed() >= MIN_INTERVAL && cpu().saturating_sub(self.cpu) >= MIN_CPU {
            trim();
            *self = Self::trimmed_now();
        }
    }
}

/// Returns the CPU time of this process.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of the C library that Rust has no name for")]
fn trim() {
    // SAFETY: the signature matches malloc.h; the function takes a number and is thread-safe.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // The result only says if any memory was returned.
    malloc_trim(0);
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of the C library that Rust has no name for")]
fn limit_heap_tops() {
    const M_TRIM_THRESHOLD: std::ffi::c_int = -1;
    const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
    // SAFETY: the signature matches malloc.h; the function takes two numbers and is thread-safe.
    unsafe extern "C" {
        safe fn mallopt(param: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
    }
    // Setting either threshold stops glibc from raising both dynamically. Every value is valid.
    mallopt(M_TRIM_THRESHOLD, MAX_HEAP_TOP);
    mallopt(M_MMAP_THRESHOLD, MAX_HEAP_TOP);
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(not(target_env = "gnu"))]
fn limit_heap_tops() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    #[test]
    fn memory_freed_by_a_live_thread_is_returned() {
        let _heap = Heap::new();
        let before = anonymous_bytes();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (freed, is_freed) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Freeing a mapped block would raise both thresholds if they were still dynamic.
            drop(vec![1_u8; 24 << 20]);
            let blocks: Vec<_> = (0..1_500_u32).map(|_| vec![1_u8; 32 << 10]).collect();
            drop(blocks);
            freed.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        is_freed.recv().unwrap();
        // Other tests of this process allocate and free memory concurrently.
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
