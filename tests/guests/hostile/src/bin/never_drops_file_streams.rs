//! Reads one file through as many streams as possible, none of them to the end.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

fn main() {
    let (data, _) = get_directories().remove(0);
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = data.open_at(PathFlags::empty(), "file", OpenFlags::CREATE, flags);
    let file = file.unwrap_or_else(|error| hostile::allowed(error));
    let mut held = Vec::new();
    for _ in 0..100_000 {
        match file.read_via_stream(0) {
            Ok(stream) => held.push(stream),
            Err(ErrorCode::InsufficientMemory) => {
                hostile::denied(format_args!("insufficient-memory after {}", held.len()))
            }
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed(held.len());
}
