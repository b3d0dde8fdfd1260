//! `skep ci explain`: the reason that a step runs and does not come from the cache.

use clap::Args;
use skep_ci::StepExplanation;
use skep_protocol::text::neutral;

use super::open::OpenPipeline;
use super::options::{PipelineFlags, select};
use super::plan_run::fill;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{json, terminal};

/// Show what is different since a step last ran
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci explain unit
  skep ci explain 'cc[file=src/a.c]' --output json

It compares the step as it is now with the last run that had it: program, arguments, environment,
limits, and each file that the step sees.

It knows the runs that this machine started, and this machine's cache. A runtime has a cache of its
own: after `skep ci run --runtime`, a step that will run here may come from the cache there.")]
pub(crate) struct CiExplainArgs {
    /// Step: a name, a glob or an id
    #[arg(value_name = "STEP")]
    step: String,

    #[command(flatten)]
    pipeline: PipelineFlags,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

impl CiExplainArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.output
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn explain(arguments: &CiExplainArgs) -> Result<u8, Failed> {
    let pipeline = OpenPipeline::open(&arguments.pipeline)?;
    let options = OpenPipeline::options(&arguments.pipeline);
    let full = pipeline.plan(&options)?;
    let globs = std::slice::from_ref(&arguments.step);
    let plan = select(full, globs)?;
    pipeline.check_pins(&plan)?;
    let tools = fill(&pipeline, &plan, &arguments.pipeline)?;
    let (sources, store) = (&pipeline.sources, &pipeline.store);
    let all = skep_ci::explain(&plan, &tools, sources, store, &pipeline.project)
        .map_err(|error| Failed::here(format!("cannot make the keys: {error}")))?;
    let asked = select(plan.clone(), globs)?.steps;
    // The steps that it needs are in the plan too, but were not asked about.
    let asked_about = |id: &str| {
        id == arguments.step
            || asked.iter().any(|step| {
                step.id == id
                    && skep_ci::Pattern::parse(&arguments.step)
                        .is_ok_and(|it| it.matches(&step.name))
            })
    };
    let all: Vec<_> = all.into_iter().filter(|explained| asked_about(&explained.id)).collect();
    let printed = match arguments.output {
        OutputFormat::Json => terminal::print(&json::line(&all)),
        OutputFormat::Text => terminal::print(all.iter().map(text).collect::<String>().as_bytes()),
    };
    Ok(terminal::conclude(printed, 0))
}

fn text(explained: &StepExplanation) -> String {
    let head = match (&explained.action, explained.cached) {
        (None, _) => "not known yet",
        (Some(_), true) => "in the cache",
        (Some(_), false) => "will run",
    };
    let mut out = format!("{}: {head}\n", neutral(&explained.id));
    if let Some(note) = &explained.note {
        out += &format!("  {}\n", neutral(note));
    }
    let list = |since: &str, changes: &[String]| {
        let lines: String =
            changes.iter().map(|change| format!("  - {}\n", neutral(change))).collect();
        format!("  {since}:\n{lines}")
    };
    if let Some(run) = &explained.last_run {
        match explained.changes.as_slice() {
            [] if explained.note.is_none() => {
                out += &format!("  nothing changed since run {run}\n")
            }
            [] => {}
            changes => out += &list(&format!("since run {run}"), changes),
        }
    }
    // The reason that the last run did not take it from the cache.
    if let Some(run) = explained.earlier_run.as_ref().filter(|_| explained.changes.is_empty()) {
        out += &list(&format!("before that, since run {run}"), &explained.earlier_changes);
    }
    out
}
