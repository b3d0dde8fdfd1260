//! Starts timers and drops each before it expires.

use std::hint::black_box;

use wasip2::clocks::monotonic_clock::subscribe_duration;

fn main() {
    for n in 0..1_000_000_u64 {
        black_box(subscribe_duration(3_600_000_000_000 + n).ready());
    }
    println!("started a million");
}
