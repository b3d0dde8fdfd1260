//! Requests `u64::MAX` random bytes.

use wasip2::random::random::get_random_bytes;

fn main() {
    hostile::now_it_comes();
    hostile::allowed(get_random_bytes(u64::MAX).len());
}
