//! A failure whose code and message are megabytes of control characters.

use skep_guest::{Failure, Output};

pub fn handle() -> Result<Output, Failure> {
    Err(Failure::new("\u{1b}]0;title\u{7}".repeat(100_000), "\u{202e}\n".repeat(1_000_000)))
}
