//! An answer whose body is short and whose content type is not.

use skep_guest::{Failure, Output};

pub fn handle() -> Result<Output, Failure> {
    Ok(Output::new("text/plain; ".repeat(500_000), "short"))
}
