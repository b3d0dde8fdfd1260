//! Kills the process of a test at its n-th write of the cache.

use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that says at which write.
pub(crate) const AT: &str = "SKEP_CI_TEST_CRASH_AT";

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Ends the process without any clean-up if this is the write that the test names.
pub(crate) fn crash_point() {
    let Some(at) = std::env::var(AT).ok().and_then(|at| at.parse::<u64>().ok()) else { return };
    if COUNT.fetch_add(1, Ordering::SeqCst) + 1 == at {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        std::thread::park();
    }
}
