//! `skep ci hook`: one step over named files, as pre-commit and its kin call it.

use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use skep_ci::{CachePolicy, PlanOptions};

use super::open::OpenPipeline;
use super::options::{PipelineFlags, select};
use super::outputs::apply;
use super::plan_run::{HowToRun, fill, run_with};
use super::show::show_end;
use super::watch::exit_code;
use crate::exit;
use crate::failure::Failed;
use crate::output::OutputFormat;

/// Run one step over some files
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci hook php-lint a.php b.php
  skep ci hook format --apply src/a.py

The files become {files} of the step, as far as its `files` (or `src`) select them. All words after
STEP are files; put flags before it: skep ci hook --apply format a.py")]
pub(crate) struct CiHookArgs {
    #[command(flatten)]
    pipeline: PipelineFlags,

    /// Write the results of a step with `src_mode = \"copy\"` back into the project
    #[arg(long)]
    apply: bool,

    /// Step
    #[arg(value_name = "STEP")]
    step: String,

    /// Files
    #[arg(value_name = "FILE")]
    files: Vec<OsString>,
}

impl CiHookArgs {
    pub(super) fn output(&self) -> OutputFormat {
        OutputFormat::Text
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn hook(arguments: &CiHookArgs, files: Vec<OsString>) -> Result<u8, Failed> {
    let pipeline = OpenPipeline::open(&arguments.pipeline)?;
    let here = std::env::current_dir()?;
    let files: Vec<_> = files.into_iter().chain(arguments.files.iter().cloned()).collect();
    let mut named = Vec::new();
    for file in &files {
        let path = here.join(file);
        let below = path.strip_prefix(&pipeline.folder).ok().and_then(Path::to_str);
        // A file outside of the project belongs to no step.
        named.extend(below.map(|path| path.trim_start_matches("./").to_owned()));
    }
    let hook = Some((arguments.step.clone(), named));
    let options = PlanOptions { hook, ..OpenPipeline::options(&arguments.pipeline) };
    if !pipeline.file.step.keys().any(|key| *key.get_ref() == arguments.step) {
        let failed = Failed::here(format!("there is no step `{}`", arguments.step));
        let names = pipeline.file.step.keys().map(|key| key.get_ref().as_str());
        return Err(match skep_ci::nearest(&arguments.step, names) {
            Some(near) => failed.hint(format!("did you mean `{near}`?")),
            None => failed.hint("`skep ci graph` lists the steps"),
        });
    }
    let plan = pipeline.plan(&options)?;
    if !plan.steps.iter().any(|step| step.name == arguments.step) {
        return Ok(0);
    }
    let plan = select(plan, std::slice::from_ref(&arguments.step))?;
    pipeline.check_pins(&plan)?;
    let tools = fill(&pipeline, &plan, &arguments.pipeline)?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let how = HowToRun {
        jobs,
        policy: CachePolicy::Use,
        quiet: true,
        host: None,
        note: None,
        continued: None,
        settings: arguments.pipeline.settings.clone(),
        wasi_0_3: arguments.pipeline.wasi_0_3.into(),
    };
    let result = run_with(&pipeline, &plan, &tools, &how)?;
    let code = exit_code(result.outcome);
    if code != 0 {
        show_end(&pipeline.store, &result);
    }
    // A formatter that changed something fails, as such programs expect.
    let changed = arguments.apply && apply(&pipeline, &plan, &result)?;
    Ok(if changed { exit::SERVICE_FAILED } else { code })
}
