//! Annotations for GitHub. They come from outcomes and parsed reports: nothing that a guest prints
//! is ever a command.

use crate::result::{RunResult, StepResult};

/// Maximum number of annotations of one step, which is GitHub's own.
const MOST: usize = 10;

/// Returns a workflow command for each failure.
pub fn annotations(run: &RunResult) -> String {
    let mut out = String::new();
    for step in run.steps.iter().filter(|step| step.fails_run()) {
        out += &of_step(step);
    }
    out
}

fn of_step(step: &StepResult) -> String {
    let mut out = String::new();
    let tests = step.tests.clone().unwrap_or_default();
    for failure in tests.failures.iter().take(MOST - 1) {
        let mut place = format!("title={}", property(&format!("{}: {}", step.id, failure.name)));
        if let Some(file) = &failure.file {
            place += &format!(",file={}", property(file));
        }
        if let Some(line) = failure.line {
            place += &format!(",line={line}");
        }
        let message = if failure.message.is_empty() { "failed" } else { &failure.message };
        out += &format!("::error {place}::{}\n", data(message));
    }
    let shown = tests.failures.len().min(MOST - 1) as u64;
    let message = match tests.failed.saturating_sub(shown) {
        0 => step.message.clone().unwrap_or_else(|| "failed".into()),
        more if shown > 0 => format!("{more} more in the summary"),
        _ => step.message.clone().unwrap_or_else(|| "failed".into()),
    };
    out + &format!("::error title={}::{}\n", property(&step.id), data(&message))
}

fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{StepOutcome, TestCounts, TestFailure};

    #[test]
    fn names_and_messages_of_guests_stay_within_one_command() {
        let failure = TestFailure {
            name: "a,file=/etc::b".into(),
            message: "x\n::error::fake\r%0A".into(),
            ..TestFailure::default()
        };
        let mut step = StepResult::new("unit", "unit", StepOutcome::Exited);
        step.tests =
            Some(TestCounts { failed: 40, failures: vec![failure; 10], ..Default::default() });
        let text = of_step(&step);
        assert_eq!(text.lines().count(), 10);
        assert!(text.lines().all(|line| line.starts_with("::error title=unit")), "{text}");
        assert!(text.ends_with("31 more in the summary\n"), "{text}");
        assert!(text.contains("a%2Cfile=/etc%3A%3Ab::x%0A::error::fake%0D%250A"), "{text}");
    }
}
