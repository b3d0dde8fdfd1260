//! Prints empty lines without end.

use std::io::Write;

use skep_guest::{Failure, Output};

pub fn handle() -> Result<Output, Failure> {
    let lines = [b'\n'; 4 << 10];
    let mut stdout = std::io::stdout().lock();
    loop {
        let _ = stdout.write_all(&lines);
    }
}
