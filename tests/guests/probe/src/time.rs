//! Sleeps and timers.

use std::thread;
use std::time::Duration;

use crate::answer::{Verdict, number, ok};

/// Sleeps this many seconds, which may be a fraction.
pub fn nap(seconds: &str) -> Verdict {
    thread::sleep(Duration::from_secs_f64(number(seconds)));
    ok(Ok(()))
}

/// Prints a line before and after a sleep.
pub fn say_and_nap(seconds: &str) -> Verdict {
    println!("before");
    thread::sleep(Duration::from_secs_f64(number(seconds)));
    println!("after");
    ok(Ok(()))
}

/// Makes that many one-hour pollables and keeps them all.
#[cfg(target_env = "p2")]
pub fn timers(count: usize) -> Verdict {
    let hour = Duration::from_secs(3600).as_nanos() as u64;
    let held: Vec<_> =
        (0..count).map(|_| wasip2::clocks::monotonic_clock::subscribe_duration(hour)).collect();
    Ok(Some(format!("holds {} timers", held.len())))
}

/// Always fails: only the component model has pollables.
#[cfg(not(target_env = "p2"))]
pub fn timers(_: usize) -> Verdict {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
}
