//! Panics after changing its state, which must be rolled back.

use skep_guest::{Failure, Output, state};

pub fn handle() -> Result<Output, Failure> {
    let _ = state::set("key", "value");
    panic!("as it was told");
}
