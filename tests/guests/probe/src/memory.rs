//! Requests memory until there is none.

use std::hint::black_box;

use crate::answer::Verdict;

const MIB: usize = 1 << 20;

/// Allocates and touches a mebibyte at a time until the allocator gives up, which aborts.
pub fn grow() -> Verdict {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; MIB]));
    }
}

/// Requests that many mebibytes at once and handles a refusal: `ok` or `refused`.
pub fn grow_gently(mib: usize) -> Verdict {
    let mut held = Vec::<u8>::new();
    let granted = mib
        .checked_mul(MIB)
        .is_some_and(|bytes| held.try_reserve_exact(bytes).map(|()| held.resize(bytes, 1)).is_ok());
    black_box(&held);
    Ok(Some(if granted { "ok" } else { "refused" }.to_owned()))
}
