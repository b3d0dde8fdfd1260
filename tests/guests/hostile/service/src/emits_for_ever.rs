//! Emits events until one is refused, and then tries as many again.

use skep_guest::{Failure, Output, transcript};

pub fn handle() -> Result<Output, Failure> {
    let emitted = (0..20_000).filter(|n| transcript::emit_text("note", &n.to_string()).is_ok());
    Err(Failure::new("denied", format!("after {} events", emitted.count())))
}
