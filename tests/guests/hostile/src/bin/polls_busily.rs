//! Checks a one-hour timer without end.

use wasip2::clocks::monotonic_clock::subscribe_duration;

fn main() {
    let timer = subscribe_duration(3_600_000_000_000);
    while !timer.ready() {}
    hostile::allowed("an hour is over");
}
