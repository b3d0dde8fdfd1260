//! The worker's transcript.

use skep_guest::{Failure, Output, transcript};

use crate::{number, ok, split};

pub fn emit(rest: &str) -> Result<Output, Failure> {
    let (kind, text) = split(rest);
    transcript::emit_text(kind, text)?;
    ok()
}

/// Emits that many `tick` events, whose bodies count from 0.
pub fn emit_many(count: u64) -> Result<Output, Failure> {
    for n in 0..count {
        transcript::emit_text("tick", &n.to_string())?;
    }
    ok()
}

/// Returns `<seq> <kind> <body>` for each entry, then `next <seq>` if there is more. The kind of an
/// event is `event:` and its label.
pub fn read(rest: &str) -> Result<Output, Failure> {
    let (after, limit) = split(rest);
    let page = transcript::read(number(after)?, number(limit)?)?;
    let entries = page.entries.iter().map(|entry| {
        let word = entry.event.as_ref().map_or(String::new(), |word| format!(":{word}"));
        format!("{} {}{word} {}", entry.seq, entry.kind, String::from_utf8_lossy(&entry.body))
    });
    let next = page.next.map(|seq| format!("next {seq}"));
    Ok(Output::text(entries.chain(next).collect::<Vec<_>>().join("\n")))
}
