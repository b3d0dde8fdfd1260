//! Allocates and touches a mebibyte at a time until there is no more.

use std::hint::black_box;

fn main() {
    let mut held = Vec::new();
    loop {
        let mut more = Vec::new();
        if more.try_reserve_exact(1 << 20).is_err() {
            hostile::now_it_comes();
        }
        more.resize(1 << 20, 1_u8);
        held.push(black_box(more));
    }
}
