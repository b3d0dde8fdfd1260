//! Panics after it changed its state, which must not count.

use skep_guest::{Failure, Output, state};

pub fn handle() -> Result<Output, Failure> {
    let _ = state::set("key", "value");
    panic!("as it was told");
}
