//! Turns that fail or take long.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use skep_guest::{Failure, Output};

use crate::{number, ok, split};

pub fn fail(rest: &str) -> Result<Output, Failure> {
    let (code, message) = split(rest);
    Err(Failure::new(code, message))
}

pub fn panic() -> Result<Output, Failure> {
    panic!("the scribe panics, as it was told");
}

/// Exits the program, which leaves the input without an answer.
pub fn exit(code: i32) -> ! {
    std::process::exit(code)
}

pub fn spin() -> Result<Output, Failure> {
    loop {
        black_box(());
    }
}

pub fn nap(seconds: &str) -> Result<Output, Failure> {
    let seconds = Duration::try_from_secs_f64(number(seconds)?);
    thread::sleep(seconds.map_err(|error| crate::bad_request(error.to_string()))?);
    ok()
}

/// Allocates and touches a mebibyte at a time until the allocator gives up, which aborts.
pub fn grow() -> Result<Output, Failure> {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; 1 << 20]));
    }
}
