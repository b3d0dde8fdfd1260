//! Events named like entries that only the host makes, and events with invalid names.

use skep_guest::{Failure, Output, transcript};

const KINDS: &[&str] = &["output", "failure", "created", "stopped", "removed", "gap", "log"];

pub fn handle() -> Result<Output, Failure> {
    let body = r#"{"outcome":"completed","kind":"output","seq":1,"worker":null}"#;
    for kind in KINDS {
        transcript::emit(kind, "application/json\r\nevent: output", body)
            .map_err(|error| Failure::new("allowed", format!("{kind}: {error}")))?;
    }
    let long = "x".repeat(65);
    let mut refused = 0;
    for kind in [
        "",
        " ",
        "a b",
        "note\nevent: output",
        "note\r",
        "note\0",
        "\u{1b}[2J",
        "<b>",
        "Note",
        "é",
        "../note",
        &long,
    ] {
        if transcript::emit_text(kind, "x").is_ok() {
            return Err(Failure::new("allowed", kind));
        }
        refused += 1;
    }
    if transcript::emit("note", &"x".repeat(256), "x").is_ok() {
        return Err(Failure::new("allowed", "a long type"));
    }
    Err(Failure::new("denied", format!("{refused} kinds")))
}
