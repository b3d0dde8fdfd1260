//! Prints lines on both streams without end.

use skep_guest::{Failure, Output};

pub fn handle() -> Result<Output, Failure> {
    let line = "x".repeat(1 << 10);
    loop {
        println!("{line}");
        eprintln!("{line}");
    }
}
