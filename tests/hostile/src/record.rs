//! Checks of the recorded output of a guest, made before its worker is removed.

use skep_protocol::{Entry, EntryKind, Limits, Outcome, Output, RunOutput, WorkerId};
use skep_sandbox::stdio::LINE_BYTES;

use crate::bed::Bed;
use crate::hook::Check;
use crate::own;

/// Checks that the beginning of too much output is kept, in lines of bounded length, and marked as
/// truncated.
pub(crate) fn has_the_beginning<'a>(
    bed: &'a Bed,
    worker: WorkerId,
    outcome: &'a Outcome,
) -> Check<'a> {
    Box::pin(async move {
        let run = run(outcome)?;
        let spec = bed.runtime().get(worker).await.unwrap().spec;
        let limits = spec.limits.over(&Limits::default());
        let kept = run.stdout.len().max(run.stderr.len()) as u64;
        if !run.truncated || kept != limits.output_bytes {
            return Err(format!("{kept} bytes are kept, truncated: {}", run.truncated));
        }
        let lines = lines(&own::entries(bed, worker).await);
        let longest = lines.iter().map(|line| line.payload.body.len()).max().unwrap_or_default();
        let bytes: usize = lines.iter().map(|line| line.payload.body.len()).sum();
        let cut = lines.iter().filter(|line| line.truncated).count();
        let log = usize::try_from(limits.log_bytes_per_turn).unwrap();
        if longest > LINE_BYTES || bytes > log || bytes < log / 2 || cut != 1 {
            return Err(format!("{bytes} bytes, {longest} in a line, cut {cut} times"));
        }
        if let Some(line) = lines.iter().find(|line| str::from_utf8(&line.payload.body).is_err()) {
            return Err(format!("the line at {} ends within a character", line.seq));
        }
        Ok(())
    })
}

/// Checks that the lines up to the limit are kept, and that the truncation is marked once.
pub(crate) fn has_as_many_lines_as_it_may<'a>(
    bed: &'a Bed,
    worker: WorkerId,
    _: &'a Outcome,
) -> Check<'a> {
    Box::pin(async move {
        let lines = lines(&own::entries(bed, worker).await);
        let cut = lines.iter().filter(|line| line.truncated).count();
        let kept = (lines.len() - cut) as u64;
        match (kept == Limits::default().log_lines_per_turn, cut) {
            (true, 1) => Ok(()),
            _ => Err(format!("{kept} lines, cut {cut} times")),
        }
    })
}

/// Checks that the outcome and the log lines have the output byte for byte, that JSON preserves it,
/// and that the lines come before the end.
pub(crate) fn is_faithful<'a>(bed: &'a Bed, worker: WorkerId, outcome: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let run = run(outcome)?;
        let entries = own::entries(bed, worker).await;
        for (stream, written) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
            let of_it = entries.iter().filter(|entry| {
                entry.kind == EntryKind::Log && entry.label.as_deref() == Some(stream)
            });
            let lines: Vec<_> = of_it.map(|entry| &*entry.payload.body).collect();
            let ended = written.strip_suffix(b"\n").unwrap_or(written);
            if lines.join(&b'\n') != ended || written.is_empty() {
                return Err(format!("the lines of {stream} are not what was written"));
            }
        }
        if run.truncated || run.exit_code != Some(0) {
            return Err(format!("truncated: {}, {:?}", run.truncated, run.exit_code));
        }
        let json = serde_json::to_string(outcome).unwrap();
        if json.contains('\n') || serde_json::from_str::<Outcome>(&json).unwrap() != *outcome {
            return Err("the outcome differs after a round trip through JSON".into());
        }
        is_sound(&entries, EntryKind::Output)
    })
}

/// Checks that only the host makes the entries reserved for it, whatever the guest calls its
/// events.
pub(crate) fn is_its_hosts<'a>(bed: &'a Bed, worker: WorkerId, _: &'a Outcome) -> Check<'a> {
    Box::pin(async move {
        let entries = own::entries(bed, worker).await;
        let events = entries.iter().filter(|entry| entry.kind == EntryKind::Event);
        let labels: Vec<_> = events.filter_map(|entry| entry.label.as_deref()).collect();
        if labels != ["output", "failure", "created", "stopped", "removed", "gap", "log"] {
            return Err(format!("the events are {labels:?}"));
        }
        is_sound(&entries, EntryKind::Failure)
    })
}

/// Checks the order of a transcript: one creation, one input, one end as the input's last entry,
/// otherwise only the guest's output, and one JSON line per entry.
fn is_sound(entries: &[Entry], end: EntryKind) -> Result<(), String> {
    use EntryKind::{Connected, Created, Disconnected, Event, Input, Log};
    let count = |kind| entries.iter().filter(|entry| entry.kind == kind).count();
    let ours = [Created, Input, end];
    if ours.map(count) != [1, 1, 1] {
        return Err(format!("there are {:?} of {ours:?}", ours.map(count)));
    }
    let known = [Created, Connected, Disconnected, Input, Log, Event, end];
    for (n, entry) in entries.iter().enumerate() {
        let json = serde_json::to_string(entry).unwrap();
        if !known.contains(&entry.kind) || entry.seq.0 != n as u64 + 1 || json.contains('\n') {
            return Err(format!("entry {n} is {json}"));
        }
        if serde_json::from_str::<Entry>(&json).unwrap() != *entry {
            return Err(format!("entry {n} differs after a round trip through JSON: {json}"));
        }
    }
    let last = entries.iter().rfind(|entry| entry.input_id.is_some());
    match last {
        Some(entry) if entry.kind == end => Ok(()),
        other => Err(format!("the last of the turn is {other:?}")),
    }
}

fn run(outcome: &Outcome) -> Result<&RunOutput, String> {
    match &outcome.output {
        Some(Output::Run(run)) => Ok(run),
        other => Err(format!("the output is {other:?}")),
    }
}

fn lines(entries: &[Entry]) -> Vec<Entry> {
    entries.iter().filter(|entry| entry.kind == EntryKind::Log).cloned().collect()
}
