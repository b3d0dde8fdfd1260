//! Words and colours of a run on a terminal.

use skep_ci::{StepOutcome, StepResult};
use skep_protocol::text::neutral;

use crate::terminal;

/// The mark of a step's end.
pub(super) fn mark(result: &StepResult) -> &'static str {
    match (result.outcome, result.as_expected) {
        (StepOutcome::Skipped, _) => "skipped",
        (_, true) if result.cached.is_some() => "cached",
        (_, true) => "ok",
        (StepOutcome::Cancelled, _) => "stopped",
        (_, false) if result.allowed_to_fail => "failed (allowed)",
        (_, false) => "FAILED",
    }
}

/// One line about the end of a step.
pub(super) fn line(result: &StepResult) -> String {
    let word = mark(result);
    let mut parts = Vec::new();
    if result.cached.is_none() && result.attempts > 0 {
        parts.push(time(result.timing.run_ms));
    }
    if let Some(tests) = &result.tests
        && tests.passed + tests.failed > 0
    {
        parts.push(match tests.failed {
            0 => format!("{} tests passed", tests.passed),
            failed => format!("{failed} of {} tests failed", tests.passed + failed),
        });
    }
    if let [file] = result.out.files.as_slice()
        && result.as_expected
    {
        parts.push(format!("{} {}", neutral(&file.path), bytes(file.bytes)));
    }
    if let Some(message) = &result.message {
        parts.push(neutral(message).to_string());
    }
    let rest = match parts.is_empty() {
        true => String::new(),
        false => format!("  {}", parts.join(", ")),
    };
    format!("{}  {}{rest}", coloured(result, &format!("{word:<7}")), neutral(&result.id))
}

fn coloured(result: &StepResult, text: &str) -> String {
    if !terminal::stderr_has_colour() {
        return text.to_owned();
    }
    let code = match (result.outcome, result.as_expected) {
        (StepOutcome::Skipped, _) => "2",
        (_, true) => "32",
        (_, false) if result.allowed_to_fail => "33",
        (_, false) => "1;31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Formats milliseconds.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => "<1 ms".into(),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// Formats a size.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Makes a guest's line harmless where lines can be commands: no control characters, never at the
/// beginning of a line, and without the older mark of such commands.
pub(super) fn guest_line(line: &str) -> String {
    format!("  | {}", neutral(line).to_string().replace("##[", "# #["))
}
