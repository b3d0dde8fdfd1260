//! The progress of a run: a live tree on a terminal, and otherwise one line for each step at its end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use skep_ci::{Observer, Plan, PlannedStep, RunOutcome, RunResult, StepResult, Store};
use skep_protocol::text::neutral;

use super::paint;
use crate::terminal;

/// Lines of a failed step's output that are shown.
const LINES: usize = 20;

/// Bytes of it that are read.
const MOST_READ: u64 = 64 << 20;

/// Shows a run while it runs.
pub(super) struct Progress {
    quiet: bool,
    total: usize,
    live: Option<Live>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    done: usize,
    cached: usize,
    failed: usize,
    running: BTreeMap<String, Option<ProgressBar>>,
}

struct Live {
    all: MultiProgress,
    head: ProgressBar,
}

impl Progress {
    /// Starts to show a plan. With `quiet`, nothing is shown.
    pub(super) fn start(plan: &Plan, quiet: bool) -> Self {
        let is_terminal = !quiet && terminal::stderr_is_terminal();
        // A terminal that cannot move its cursor hides all of it, even whole lines.
        let all = is_terminal.then(MultiProgress::new).filter(|all| !all.is_hidden());
        let live = all.map(|all| {
            let head = all.add(ProgressBar::new_spinner());
            head.set_style(style("skep ci  {msg}"));
            Live { all, head }
        });
        let progress = Self { quiet, total: plan.steps.len(), live, counts: Mutex::default() };
        progress.update(&Counts::default());
        progress
    }

    fn update(&self, counts: &Counts) {
        let Some(live) = &self.live else { return };
        let Counts { done, cached, failed, running } = counts;
        let mut text = format!("{} steps   ", self.total);
        text += &format!("{} running · {done} done · {cached} cached", running.len());
        if *failed > 0 {
            text += &format!(" · {failed} failed");
        }
        live.head.set_message(text);
        live.head.tick();
    }

    /// Removes what is live.
    pub(super) fn finish(&self) {
        if let Some(live) = &self.live {
            live.head.finish_and_clear();
            // What is left on the screen does no harm.
            drop(live.all.clear());
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed")
}

impl Observer for Progress {
    fn started(&self, step: &PlannedStep) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = self.live.as_ref().map(|live| {
            let bar = live.all.add(ProgressBar::new_spinner());
            bar.set_style(style("├ {msg}  {spinner:.cyan} {elapsed}"));
            bar.set_message(neutral(&step.id).to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        counts.running.insert(step.id.clone(), bar);
        self.update(&counts);
    }

    fn finished(&self, step: &PlannedStep, result: &StepResult) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(bar)) = counts.running.remove(&step.id) {
            bar.finish_and_clear();
        }
        counts.done += 1;
        counts.cached += usize::from(result.cached.is_some());
        counts.failed += usize::from(result.fails_run());
        let line = paint::line(result);
        match &self.live {
            // A line that is lost is told again by the summary.
            Some(live) => drop(live.all.println(line)),
            None if !self.quiet => drop(terminal::print_error(format!("{line}\n").as_bytes())),
            None => {}
        }
        self.update(&counts);
    }
}

/// Shows the end of a run: the output of failed steps, and the next commands.
pub(super) fn show_end(store: &Store, result: &RunResult) {
    let mut text = String::new();
    for step in result.steps.iter().filter(|step| step.fails_run()) {
        text += &format!(
            "\n{}: {}\n",
            neutral(&step.id),
            neutral(step.message.as_deref().unwrap_or("failed"))
        );
        if let Some(tests) = &step.tests {
            for failure in &tests.failures {
                let line = format!("FAIL {} {}", failure.name, failure.message);
                text += &(paint::guest_line(line.trim_end()) + "\n");
            }
        }
        text += &output_of(store, step);
        if step.action.is_some() {
            let id = skep_protocol::flags::quoted(&step.id);
            let id = neutral(&id);
            text += &format!("  skep ci logs last {id} · skep ci explain {id}\n");
        }
    }
    let count =
        |test: &dyn Fn(&StepResult) -> bool| result.steps.iter().filter(|it| test(it)).count();
    let cached = count(&|step| step.cached.is_some());
    let failed = count(&StepResult::fails_run);
    let word = match result.outcome {
        RunOutcome::Passed => "passed".to_owned(),
        RunOutcome::Failed => format!("failed: {failed}"),
        RunOutcome::Cancelled => "stopped".to_owned(),
        RunOutcome::Running | RunOutcome::Interrupted => "not ended".to_owned(),
    };
    let steps = match result.steps.len() {
        1 => "1 step".to_owned(),
        steps => format!("{steps} steps"),
    };
    let time = paint::time(result.wall_ms);
    text += &format!("{word}, {steps}, {cached} cached, {time}, run {}\n", result.run_id);
    drop(terminal::print_error(text.as_bytes()));
}

/// Returns the last lines that a step printed.
fn output_of(store: &Store, step: &StepResult) -> String {
    let mut text = String::new();
    for stream in [&step.stdout, &step.stderr] {
        let content = stream.digest.as_deref().and_then(|digest| {
            store.read_blob(&skep_ci::BlobDigest::parse(digest, stream.kept)?, MOST_READ).ok()
        });
        let content = content.unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let lines: Vec<_> = content.lines().collect();
        let first = lines.len().saturating_sub(LINES);
        if first > 0 {
            text += &format!("  | ({first} lines before)\n");
        }
        for line in &lines[first..] {
            text += &(paint::guest_line(&skep_protocol::text::brief(line, 400)) + "\n");
        }
        if stream.kept < stream.bytes {
            let left = stream.bytes - stream.kept;
            text += &format!("  | ({} more were not kept; see `log`)\n", paint::bytes(left));
        }
    }
    text
}
