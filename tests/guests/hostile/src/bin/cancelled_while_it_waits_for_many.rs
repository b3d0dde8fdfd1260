//! Waits for thousands of timers until it is cancelled.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;

fn main() {
    let held: Vec<_> = (0..4_000_u64).map(|n| subscribe_duration(3_600_000_000_000 + n)).collect();
    let held: Vec<_> = held.iter().collect();
    hostile::allowed(poll(&held).len());
}
