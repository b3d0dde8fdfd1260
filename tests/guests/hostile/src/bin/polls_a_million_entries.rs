//! Polls one timer a million times in one call.

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;

fn main() {
    let timer = subscribe_duration(3_600_000_000_000);
    let entries = vec![&timer; 1_000_000];
    hostile::now_it_comes();
    hostile::allowed(poll(&entries).len());
}
