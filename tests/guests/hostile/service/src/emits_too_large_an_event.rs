//! An event one byte larger than allowed, and one as large as a call can carry.

use skep_guest::{Failure, Output, transcript};

pub fn handle() -> Result<Output, Failure> {
    for length in [(256 << 10) + 1, 7 << 20] {
        if transcript::emit("note", "text/plain", vec![b'.'; length]).is_ok() {
            return Err(Failure::new("allowed", format!("an event of {length} bytes")));
        }
    }
    Err(Failure::new("denied", "both events"))
}
