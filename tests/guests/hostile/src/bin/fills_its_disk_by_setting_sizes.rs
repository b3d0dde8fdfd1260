//! Extends files without writing to them until the disk is full.

use hostile::directory::{ErrorCode, create, granted, must_work};

fn main() {
    let data = granted("/data");
    let mut bytes = 0;
    let file = must_work("a file", create(&data, "file"));
    for size in [u64::MAX, u64::MAX / 2, 1 << 62, 1 << 40] {
        if file.set_size(size).is_ok() {
            hostile::allowed(format_args!("a file of {size} bytes"));
        }
    }
    for n in 0..100_000 {
        let file = must_work("a file", create(&data, &n.to_string()));
        match file.set_size(100_000) {
            Ok(()) => bytes += 100_000,
            Err(ErrorCode::InsufficientSpace) => {
                must_work("to cut it", file.set_size(0));
                hostile::denied(format_args!("after {bytes} bytes"))
            }
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed(bytes);
}
