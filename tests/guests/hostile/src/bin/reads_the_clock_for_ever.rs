//! Calls its host without end, with the cheapest call.

use wasip2::clocks::monotonic_clock::now;

fn main() {
    loop {
        std::hint::black_box(now());
    }
}
