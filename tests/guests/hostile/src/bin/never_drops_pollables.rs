//! Makes one-hour timers and keeps them all.

use wasip2::clocks::monotonic_clock::subscribe_duration;

const HOUR: u64 = 3_600_000_000_000;

fn main() {
    let held: Vec<_> = (0..1_000_000).map(|_| subscribe_duration(HOUR)).collect();
    hostile::allowed(held.len());
}
