//! Lists its own directory, in which the operator has made that many names.

use std::time::Duration;

use hostile::directory::{STAY, create, granted, must_work};

fn main() {
    let data = granted("/data");
    must_work("a file", create(&data, "begun"));
    while data.stat_at(STAY, "enough").is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let listing = must_work("a listing", data.read_directory());
    let mut names = 0_u32;
    while let Some(entry) = must_work("an entry", listing.read_directory_entry()) {
        names += u32::from(entry.name != "begun");
    }
    println!("listed {names} names besides its own");
}
