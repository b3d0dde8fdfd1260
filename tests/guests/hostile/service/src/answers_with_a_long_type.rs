//! An answer with a short body and a long content type.

use skep_guest::{Failure, Output};

pub fn handle() -> Result<Output, Failure> {
    Ok(Output::new("text/plain; ".repeat(500_000), "short"))
}
