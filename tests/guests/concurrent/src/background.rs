//! Tasks that outlive the entry function.

use wasip3::clocks::monotonic_clock;

use crate::Verdict;

/// Starts a task that sleeps for ever, and returns.
pub fn leave_a_task() -> Verdict {
    wasip3::spawn_local(async { monotonic_clock::wait_for(u64::MAX).await });
    Ok("left a task\n".into())
}

/// Starts a task that computes for ever as soon as it runs, and returns.
pub fn spin_behind() -> Verdict {
    wasip3::spawn_local(async {
        monotonic_clock::wait_for(1_000_000).await;
        loop {
            std::hint::spin_loop();
        }
    });
    Ok("spins behind\n".into())
}
