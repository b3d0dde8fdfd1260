//! Faults: a panic, a loop, a recursion.

use std::hint::black_box;

use crate::answer::Verdict;

/// Panics three named calls deep, for the backtrace.
pub fn panic() -> Verdict {
    outer_step(black_box(1));
    Ok(None)
}

#[inline(never)]
fn outer_step(depth: u32) {
    middle_step(depth + 1);
    black_box(depth);
}

#[inline(never)]
fn middle_step(depth: u32) {
    inner_step(depth + 1);
    black_box(depth);
}

#[inline(never)]
fn inner_step(depth: u32) {
    panic!("the probe panics at depth {depth}, as it was told");
}

/// Loops without end and without calls.
pub fn spin() -> Verdict {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Recurses until the stack is used up.
pub fn recurse() -> Verdict {
    println!("{}", deeper(black_box(0)));
    Ok(None)
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    // The recursion is intended; the compiler must not see that it is endless.
    if black_box(true) { deeper(depth + 1) + black_box(frame)[3] } else { depth }
}
