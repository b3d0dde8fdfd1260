//! The reports of hostile guests to their test.

pub mod directory;

use std::time::{SystemTime, UNIX_EPOCH};

/// Reports on standard error that the next call exceeds the limit, with the time. The test measures
/// from here to the end.
pub fn now_it_comes() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    eprintln!("now it comes: {}", since.as_nanos());
}

/// Ends the guest normally, since the host refused with an error value. The test looks for `what`.
pub fn denied(what: impl std::fmt::Display) -> ! {
    println!("denied: {what}");
    std::process::exit(0)
}

/// Ends the guest with a failure, since the host permitted the call.
pub fn allowed(what: impl std::fmt::Display) -> ! {
    println!("ALLOWED: {what}");
    std::process::exit(1)
}
