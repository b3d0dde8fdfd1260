//! Makes files in one directory for four seconds, at most a million.

use std::time::{Duration, Instant};

use hostile::directory::{create, granted, must_work};

fn main() {
    let data = granted("/data");
    let until = Instant::now() + Duration::from_secs(4);
    let mut made = 0_u32;
    while made < 1_000_000 && (made % 64 > 0 || Instant::now() < until) {
        must_work("a file", create(&data, &made.to_string()));
        made += 1;
    }
    println!("made {made} files");
}
