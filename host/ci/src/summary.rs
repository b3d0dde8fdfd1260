//! The summary of a run in Markdown, for the page of a run on GitHub and its kin.

use crate::result::{RunResult, StepOutcome, StepResult};

/// Maximum number of rows: such a page has a bound on its size.
const MOST: usize = 500;

/// Returns a table of the steps. The first line is a comment with the run's name and outcome.
pub fn summary(run: &RunResult) -> String {
    let outcome = run.outcome.as_str();
    let cached = run.steps.iter().filter(|step| step.cached.is_some()).count();
    let mut out = format!("<!-- run={} outcome={outcome} -->\n", run.run_id);
    out += &format!("### {outcome}: {} steps, {cached} cached\n\n", run.steps.len());
    out += "| step | end | time | reason |\n| --- | --- | --- | --- |\n";
    // Failures first: rows may be cut.
    let mut steps: Vec<_> = run.steps.iter().collect();
    steps.sort_by_key(|step| !step.fails_run());
    for step in steps.iter().take(MOST) {
        out += &row(step);
    }
    if let Some(more) = steps.len().checked_sub(MOST).filter(|more| *more > 0) {
        out += &format!("\nand {more} more\n");
    }
    for step in run.steps.iter().filter(|step| step.fails_run()) {
        for failure in step.tests.iter().flat_map(|tests| &tests.failures) {
            out += &format!(
                "- {} {}: {}\n",
                plain(&step.id),
                plain(&failure.name),
                plain(&failure.message)
            );
        }
    }
    out
}

fn row(step: &StepResult) -> String {
    let end = match (step.outcome, step.as_expected, step.cached.is_some()) {
        (StepOutcome::Skipped, ..) => "skipped",
        (_, true, true) => "cached",
        (_, true, false) => "ok",
        (_, false, _) => step.outcome.as_str(),
    };
    let time = match step.cached.is_some() || step.attempts == 0 {
        true => String::new(),
        false => format!("{:.0} ms", step.timing.run_ms),
    };
    let reason = step.message.as_deref().map(plain).unwrap_or_default();
    format!("| {} | {end} | {time} | {reason} |\n", plain(&step.id))
}

/// Makes a text of a guest or an author harmless in Markdown: no markup, no links, one line.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '@' => out += "&#64;",
            '|' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '#' | '\\' | '~' | ':' => {
                out += &format!("&#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{HostFacts, RunOutcome};

    #[test]
    fn texts_of_guests_have_no_markup() {
        let mut step = StepResult::new("a[x=|]", "a", StepOutcome::Exited);
        step.message = Some("![x](http://x) <img> @all\n| forged | ok |".into());
        let run = RunResult {
            run_id: "r".into(),
            pipeline_digest: String::new(),
            started_at_ms: 0,
            wall_ms: 0.0,
            outcome: RunOutcome::Failed,
            host: HostFacts::default(),
            steps: vec![step],
        };
        let text = summary(&run);
        assert!(text.starts_with("<!-- run=r outcome=failed -->\n"));
        let row = text.lines().last().unwrap();
        assert_eq!(row.matches('|').count(), 5, "{row}");
        assert!(!row.contains(['<', '[', '!', '@']), "{row}");
    }
}
