//! Appends to many files through streams until the disk is full.

use hostile::directory::{create, granted, must_work};
use wasip2::io::streams::StreamError;

fn main() {
    let data = granted("/data");
    let block = vec![7_u8; 4_096];
    let files: Vec<_> =
        (0..100).map(|n| must_work("a file", create(&data, &n.to_string()))).collect();
    let streams: Vec<_> =
        files.iter().map(|file| must_work("a stream", file.append_via_stream())).collect();
    for stream in streams.iter().cycle() {
        match stream.blocking_write_and_flush(&block) {
            Ok(()) => {}
            Err(StreamError::LastOperationFailed(_)) => break,
            Err(StreamError::Closed) => hostile::allowed("it is closed"),
        }
    }
    let sizes = files.iter().map(|file| must_work("its size", file.stat()).size);
    hostile::denied(format_args!("after {} bytes", sizes.sum::<u64>()));
}
