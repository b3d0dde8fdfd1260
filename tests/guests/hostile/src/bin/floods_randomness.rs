//! Takes as much randomness as one call gives, for ever.

use std::hint::black_box;

use wasip2::random::random::get_random_bytes;

fn main() {
    loop {
        black_box(get_random_bytes(1 << 20));
    }
}
