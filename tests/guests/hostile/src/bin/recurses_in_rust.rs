//! A program with its stack in linear memory recurses until that is full.

use std::hint::black_box;

fn deeper(n: u64) -> u64 {
    let frame = black_box([n; 32]);
    if black_box(n) == u64::MAX { 0 } else { deeper(n + 1) + frame[(n % 32) as usize] }
}

fn main() {
    hostile::now_it_comes();
    hostile::allowed(deeper(0));
}
