//! The stretch of time for which the kernel lets a thread compute before it looks at the others that
//! want its core.
//!
//! That is the same for all threads unless they ask, and a thread that wakes does not interrupt one
//! that is within its stretch, but waits: for up to 4 ms on many kernels. Linux from 6.12 on lets a
//! thread that wakes interrupt one with a longer stretch, and has it pay for that with nothing but
//! the stretch's length. So it suits a thread that computes for microseconds and has to be on time.

use std::time::Duration;

/// The shortest that the kernel knows.
const SHORT: Duration = Duration::from_micros(100);

/// Asks for the shortest for this thread. It is a hint: older kernels, and sandboxes that do not know
/// the call, go without.
#[expect(unsafe_code, reason = "no library that we have makes the call")]
pub(crate) fn be_on_time() {
    let Ok(nice) = rustix::process::getpriority_process(None) else { return };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        // One that someone chose for the process stays, and has no slices.
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SHORT.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads as many bytes as the value's first field says, which are those of the
    // value, and keeps nothing of it.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}
