//! Starts to list a directory of many long names again and again and reads only one name each time,
//! so that the host keeps what it read ahead.

use hostile::directory::{ErrorCode, create, granted, must_work};

fn main() {
    let data = granted("/data");
    for n in 0..400 {
        must_work("a file", create(&data, &format!("{n:0>250}")));
    }
    let mut held = Vec::new();
    for _ in 0..100_000 {
        match data.read_directory() {
            Ok(listing) => {
                let entry = must_work("an entry", listing.read_directory_entry());
                if entry.is_none_or(|entry| entry.name.len() < 250) {
                    hostile::allowed("a listing without its names");
                }
                held.push(listing);
            }
            Err(ErrorCode::InsufficientMemory) => {
                hostile::denied(format_args!("insufficient-memory after {} listings", held.len()))
            }
            Err(other) => hostile::allowed(other),
        }
    }
    hostile::allowed(held.len());
}
