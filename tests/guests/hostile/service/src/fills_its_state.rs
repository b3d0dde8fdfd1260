//! Writes a mebibyte per key until a write is refused.

use skep_guest::{Failure, Output, state};

pub fn handle() -> Result<Output, Failure> {
    let value = vec![7; 1 << 20];
    for n in 0..200 {
        if let Err(error) = state::set(&n.to_string(), &value) {
            return Err(Failure::new("denied", format!("after {n} MiB: {error}")));
        }
    }
    Err(Failure::new("allowed", "200 MiB"))
}
