//! Lists a directory with names that are not UTF-8, and opens whatever is listed.

use hostile::directory::{ErrorCode, granted, must_work, read};

fn main() {
    let input = granted("/in");
    let listing = must_work("a listing", input.read_directory());
    let mut seen = 0;
    loop {
        match listing.read_directory_entry() {
            Ok(Some(entry)) => {
                if must_work(&entry.name, read(&input, &entry.name)) != b"good" {
                    hostile::allowed(&entry.name);
                }
                seen += 1;
            }
            Ok(None) => hostile::allowed("an end that tells nothing of them"),
            Err(ErrorCode::IllegalByteSequence) => break,
            Err(code) => hostile::allowed(code.name()),
        }
    }
    hostile::denied(format_args!("all but {seen} names"));
}
