//! Requests the most random bytes per call without end.

use std::hint::black_box;

use wasip2::random::random::get_random_bytes;

fn main() {
    loop {
        black_box(get_random_bytes(1 << 20));
    }
}
