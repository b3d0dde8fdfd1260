//! Writes to one file and then to others, through calls and through streams, until the disk is
//! full.

use hostile::directory::{ErrorCode, create, granted, must_work};
use wasip2::io::streams::StreamError;

fn main() {
    let data = granted("/data");
    let file = must_work("a file", create(&data, "file"));
    let block = vec![7_u8; 100_000];
    let mut at = 0;
    loop {
        match file.write(&block, at) {
            Ok(0) => hostile::allowed("a write of nothing"),
            Ok(written) => at += written,
            Err(ErrorCode::InsufficientSpace) => break,
            Err(other) => hostile::allowed(other),
        }
    }
    // Existing bytes may be overwritten, but not one more may be added.
    must_work("the same again", file.write(&block, 0));
    let other = must_work("another file", create(&data, "other"));
    if let Ok(written) = other.write(b"x", 0) {
        hostile::allowed(format_args!("{written} more bytes after {at}"));
    }
    let stream = must_work("a stream", other.write_via_stream(0));
    match stream.blocking_write_and_flush(&block[..4_096]) {
        Err(StreamError::LastOperationFailed(_)) => {}
        other => hostile::allowed(format_args!("a stream: {other:?}")),
    }
    hostile::denied(format_args!("after {at} bytes"));
}
