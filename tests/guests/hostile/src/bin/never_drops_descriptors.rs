//! Opens one file again and again and keeps every descriptor.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

fn main() {
    let (data, _) = get_directories().remove(0);
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let mut held = Vec::new();
    for _ in 0..100_000 {
        match data.open_at(PathFlags::empty(), "file", OpenFlags::CREATE, flags) {
            Ok(descriptor) => held.push(descriptor),
            Err(ErrorCode::InsufficientMemory) => hostile::denied(format_args!(
                "insufficient-memory after {} descriptors",
                held.len()
            )),
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed(held.len());
}
