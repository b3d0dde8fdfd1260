//! Writes short keys, which use hardly any bytes, one after another, and deletes half of them.

use skep_guest::{Failure, Output, state};

pub fn handle() -> Result<Output, Failure> {
    for n in 0..1_000_000 {
        let key = format!("{n:x}");
        let told = |error| Failure::new("denied", format!("after {n} keys: {error}"));
        state::set(&key, []).map_err(told)?;
        if n % 2 == 0 {
            state::delete(&key).map_err(told)?;
        }
    }
    Err(Failure::new("allowed", "a million keys"))
}
