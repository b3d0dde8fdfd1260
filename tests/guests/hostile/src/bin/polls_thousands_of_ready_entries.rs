//! Polls nine thousand ready entries per call without end.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;

fn main() {
    let timer = subscribe_duration(0);
    timer.block();
    let entries = vec![&timer; 9_000];
    loop {
        std::hint::black_box(poll(&entries));
    }
}
