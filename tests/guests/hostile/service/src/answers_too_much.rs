//! An answer one byte longer than allowed.

use skep_guest::{Failure, Output};

pub fn handle() -> Result<Output, Failure> {
    Ok(Output::new("application/octet-stream", vec![b'.'; (4 << 20) + 1]))
}
