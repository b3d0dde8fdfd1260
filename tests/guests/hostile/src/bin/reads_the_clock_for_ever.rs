//! Calls its host for ever, for as little as possible.

use wasip2::clocks::monotonic_clock::now;

fn main() {
    loop {
        std::hint::black_box(now());
    }
}
