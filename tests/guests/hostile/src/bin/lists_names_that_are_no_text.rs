//! Lists a directory in which its operator has names that are no text, and takes whatever it finds
//! for one that it can open.

use hostile::directory::{granted, must_work, read};

fn main() {
    let input = granted("/in");
    let listing = must_work("a listing", input.read_directory());
    let mut seen = 0;
    while let Some(entry) = must_work("an entry", listing.read_directory_entry()) {
        if must_work(&entry.name, read(&input, &entry.name)) != b"good" {
            hostile::allowed(&entry.name);
        }
        seen += 1;
    }
    hostile::denied(format_args!("all but {seen} names"));
}
