//! Begins to list a directory again and again and never gets to the end.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::ErrorCode;

fn main() {
    let (data, _) = get_directories().remove(0);
    let mut held = Vec::new();
    for _ in 0..100_000 {
        match data.read_directory() {
            Ok(listing) => held.push(listing),
            Err(ErrorCode::InsufficientMemory) => {
                hostile::denied(format_args!("insufficient-memory after {}", held.len()))
            }
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed(held.len());
}
