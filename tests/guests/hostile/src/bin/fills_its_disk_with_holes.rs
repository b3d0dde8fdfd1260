//! Writes one byte at the far end of each of many sparse files.

use hostile::directory::{ErrorCode, create, granted, must_work};

fn main() {
    let data = granted("/data");
    let file = must_work("a file", create(&data, "file"));
    for at in [u64::MAX, u64::MAX / 2, 1 << 62, 1 << 40] {
        if let Ok(written) = file.write(b"x", at) {
            hostile::allowed(format_args!("{written} bytes at {at}"));
        }
        let stream = must_work("a stream", file.write_via_stream(at));
        if stream.blocking_write_and_flush(b"x").is_ok() {
            hostile::allowed(format_args!("a stream at {at}"));
        }
    }
    let mut bytes = 0;
    for n in 0..100_000 {
        let file = must_work("a file", create(&data, &n.to_string()));
        match file.write(b"x", 99_999) {
            Ok(_) => bytes += 100_000,
            Err(ErrorCode::InsufficientSpace) => {
                hostile::denied(format_args!("after {bytes} bytes"))
            }
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed(bytes);
}
