//! The scheduler's time slice of a thread: how long it computes before the kernel considers other
//! threads.
//!
//! By default all threads have the same slice, and a thread that wakes does not preempt one within
//! its slice. On many kernels it waits up to 4 ms. Since Linux 6.12, a waking thread preempts one
//! with a longer slice. The only cost is its own shorter slice, which suits a thread that computes
//! for microseconds and has to be on time.

use std::time::Duration;

/// The shortest slice that the kernel accepts.
const SHORT: Duration = Duration::from_micros(100);

/// Requests the shortest slice for the calling thread. This is a hint: older kernels, and sandboxes
/// that forbid the call, ignore it.
#[expect(unsafe_code, reason = "no dependency makes the call")]
pub(crate) fn request_short_slice() {
    let Ok(nice) = rustix::process::getpriority_process(None) else { return };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        // Keep a policy that was chosen for the process. Real-time policies have no slices.
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SHORT.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads as many bytes as the first field says, which is the size of the
    // value, and keeps no pointer to it.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}
