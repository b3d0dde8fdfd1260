//! Writes keys of maximum length without values until a write is refused.

use skep_guest::{Failure, Output, state};

pub fn handle() -> Result<Output, Failure> {
    for n in 0..1_000_000 {
        if let Err(error) = state::set(&format!("{n:0>200}"), []) {
            return Err(Failure::new("denied", format!("after {n} keys: {error}")));
        }
    }
    Err(Failure::new("allowed", "a million keys"))
}
