//! Blocks on an expired timer again and again: a wait that never waits.

use wasip2::clocks::monotonic_clock::subscribe_duration;

fn main() {
    loop {
        subscribe_duration(0).block();
    }
}
