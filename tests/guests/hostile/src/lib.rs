//! What hostile guests tell their test.

pub mod directory;

use std::time::{SystemTime, UNIX_EPOCH};

/// Says on standard error that the next thing is the one that is not allowed, and when that was.
/// The test takes the time from here to the end.
pub fn now_it_comes() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    eprintln!("now it comes: {}", since.as_nanos());
}

/// Ends well: the host said no, and said so with a value. The test looks for `what`.
pub fn denied(what: impl std::fmt::Display) -> ! {
    println!("denied: {what}");
    std::process::exit(0)
}

/// Ends badly: it worked.
pub fn allowed(what: impl std::fmt::Display) -> ! {
    println!("ALLOWED: {what}");
    std::process::exit(1)
}
