//! Environment, clocks and random numbers.

use wasip3::cli::environment;
use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::random::random;

use crate::Verdict;

/// Prints the variables, and whether the clocks make sense.
pub fn tell() -> Verdict {
    let mut text = String::new();
    for (key, value) in environment::get_environment() {
        text += &format!("{key}={value}\n");
    }
    let (before, after) = (monotonic_clock::now(), monotonic_clock::now());
    text += &format!("time passes: {}\n", after >= before);
    let now = system_clock::now();
    text += &format!("after 2020: {}\n", now.seconds > 1_577_836_800);
    Ok(text)
}

/// Prints the number of random bytes that one call returns.
pub fn random(count: u64) -> Verdict {
    Ok(format!("got {}\n", random::get_random_bytes(count).len()))
}
