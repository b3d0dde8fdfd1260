//! `skep ci run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use skep_ci::{CachePolicy, Ceilings, DryStep, Plan, RunNote, RunResult, Toolbox};

use super::gc::gc_after_run;
use super::open::OpenPipeline;
use super::options::{PipelineFlags, select};
use super::outputs::{apply, write_outputs};
use super::plan_run::{HowToRun, fill, run_with};
use super::show::show_end;
use super::watch::exit_code;
use crate::connect::HostArgs;
use crate::failure::Failed;
use crate::host_file::HostFile;
use crate::output::OutputFormat;
use crate::settings::LocationArgs;
use crate::{json, terminal};

/// Number of steps that a runtime is given at a time. It has a limit of its own.
const REMOTE_JOBS: usize = 16;

/// Run the steps of a pipeline
#[derive(Args)]
#[command(
    mut_arg("host", |arg| arg.help(
        "URL of the host whose runtime runs the steps [default with --runtime: SKEP_HOST, or the \
         host that runs on the store]"
    )),
    mut_arg("runtime", |arg| arg.help(
        "Runtime that runs the steps [default with --host: the host's own]"
    )),
    after_help = "\
Examples:
  skep ci run
  skep ci run cc link --jobs 4
  skep ci run --step 'test.*' --refresh
  skep ci run --dry --output json
  skep ci run format --apply
  skep ci run --base origin/main         skip steps whose `paths` did not change
  skep ci run --runtime builder          run the steps on a runtime of your host

Without --runtime and --host the steps run on this machine, also if SKEP_HOST is set.
A step whose result is in the cache does not run. --refresh runs it all the same."
)]
pub(crate) struct CiRunArgs {
    /// Steps to run, with those that they need: names or globs [default: all]
    #[arg(value_name = "STEP")]
    steps: Vec<String>,

    /// Another way to name steps to run. Repeat for more
    #[arg(long, value_name = "GLOB")]
    step: Vec<String>,

    #[command(flatten)]
    pipeline: PipelineFlags,

    #[command(flatten)]
    host: HostArgs,

    /// Show each step's key and whether its result is in the cache, and run nothing. The keys of
    /// steps that depend on one that would run are not known
    #[arg(long, conflicts_with_all = ["runtime", "host"])]
    dry: bool,

    /// Maximum number of steps at a time [default: the number of cores; on a runtime 16]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,

    /// Run all steps, and replace their results in the cache
    #[arg(long, conflicts_with = "no_cache")]
    refresh: bool,

    /// Run all steps, and keep no results
    #[arg(long)]
    no_cache: bool,

    /// Write the results of steps with `src_mode = \"copy\"` back into the project
    #[arg(long, conflicts_with = "dry")]
    apply: bool,

    /// Skip steps none of whose `paths` differ from this commit
    #[arg(long, value_name = "REF")]
    base: Option<String>,

    /// Write a JUnit report of the steps to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Print annotations that GitHub shows beside the code
    #[arg(long)]
    annotations: bool,

    /// Write a summary in Markdown to this file
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,

    /// Write the outputs of the steps to this directory, one folder each
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// The words of a `skep ci run`, for its continuation.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct RunWords {
    #[command(flatten)]
    run: CiRunArgs,
}

impl CiRunArgs {
    /// Parses the words after `skep ci run`.
    pub(super) fn from_words(words: &[String]) -> Result<Self, Failed> {
        let parsed = RunWords::try_parse_from(words);
        parsed.map(|words| words.run).map_err(|error| Failed::here(error.to_string()))
    }

    pub(super) fn output(&self) -> OutputFormat {
        self.output
    }

    pub(super) fn set_output(&mut self, output: OutputFormat) {
        self.output = output;
    }

    fn policy(&self) -> CachePolicy {
        match (self.refresh, self.no_cache) {
            (true, _) => CachePolicy::Refresh,
            (_, true) => CachePolicy::Off,
            _ => CachePolicy::Use,
        }
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn run(arguments: &CiRunArgs, continued: Option<&str>) -> Result<u8, Failed> {
    let pipeline = OpenPipeline::open(&arguments.pipeline)?;
    let mut options = OpenPipeline::options(&arguments.pipeline);
    if let Some(base) = &arguments.base {
        options.changed = Some(changed(&pipeline.folder, base)?);
    }
    if arguments.host.is_given() {
        // The runtime knows what it can give.
        options.ceilings = Ceilings::default();
    }
    let globs: Vec<_> = arguments.steps.iter().chain(&arguments.step).cloned().collect();
    let plan = select(pipeline.plan(&options)?, &globs)?;
    pipeline.check_pins(&plan)?;
    let tools = fill(&pipeline, &plan, &arguments.pipeline)?;
    if arguments.dry {
        return dry(&pipeline, &plan, &tools, arguments.output);
    }
    let result = run_plan(&pipeline, &plan, &tools, arguments, continued)?;
    if let Some(path) = &arguments.junit {
        HostFile::find(path, None)?.write(skep_ci::junit_report(&result).as_bytes())?;
    }
    if let Some(path) = &arguments.summary {
        HostFile::find(path, None)?.write(skep_ci::summary(&result).as_bytes())?;
    }
    if let Some(path) = &arguments.out {
        write_outputs(&pipeline.store, &result, path)?;
    }
    if arguments.apply {
        apply(&pipeline, &plan, &result)?;
    }
    let code = exit_code(result.outcome);
    let printed = match arguments.output {
        OutputFormat::Json => terminal::print(&json::line(&result)),
        OutputFormat::Text => {
            show_end(&pipeline.store, &result);
            match arguments.annotations {
                true => terminal::print(skep_ci::annotations(&result).as_bytes()),
                false => Ok(()),
            }
        }
    };
    // A collection needs the cache for itself.
    let stored = pipeline.store.stored();
    drop(pipeline);
    gc_after_run(stored);
    Ok(terminal::conclude(printed, code))
}

/// Returns the note of the `skep ci run` that this process is.
fn note() -> Result<RunNote, Failed> {
    let text = |word: OsString| {
        word.into_string().map_err(|_| Failed::here("an argument or the folder is not UTF-8"))
    };
    // Flags of `skep` itself may stand before them.
    let words = std::env::args_os().skip_while(|word| word != "ci");
    let words = words.skip_while(|word| word != "run").skip(1).map(text);
    let folder = text(std::env::current_dir()?.into_os_string())?;
    Ok(RunNote { folder, words: words.collect::<Result<_, _>>()? })
}

/// Runs a plan here or on a runtime.
fn run_plan(
    pipeline: &OpenPipeline,
    plan: &Plan,
    tools: &Toolbox,
    arguments: &CiRunArgs,
    continued: Option<&str>,
) -> Result<RunResult, Failed> {
    let host = match arguments.host.is_given() {
        true => {
            let settings = arguments.pipeline.settings.clone();
            let location = LocationArgs { settings, ..LocationArgs::default() };
            Some(arguments.host.connect(&location)?)
        }
        false => None,
    };
    let here = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = if host.is_some() { REMOTE_JOBS } else { here };
    let how = HowToRun {
        jobs: arguments.jobs.unwrap_or(jobs).clamp(1, 256),
        host,
        note: note().ok(),
        continued: continued.map(str::to_owned),
        policy: arguments.policy(),
        quiet: arguments.output == OutputFormat::Json,
        settings: arguments.pipeline.settings.clone(),
        wasi_0_3: arguments.pipeline.wasi_0_3.into(),
    };
    run_with(pipeline, plan, tools, &how)
}

/// Shows what a run would do.
fn dry(
    pipeline: &OpenPipeline,
    plan: &Plan,
    tools: &Toolbox,
    output: OutputFormat,
) -> Result<u8, Failed> {
    let steps = skep_ci::dry(plan, tools, &pipeline.sources, &pipeline.store)
        .map_err(|error| Failed::here(format!("cannot make the keys: {error}")))?;
    let printed = match output {
        OutputFormat::Json => terminal::print(&json::line(&steps)),
        OutputFormat::Text => {
            let line = |step: &DryStep| {
                let key = step.action.as_deref().map_or("-", |key| &key[7..19]);
                format!("{:<8} {key:<12} {}\n", step.state.as_str(), step.id)
            };
            terminal::print(steps.iter().map(line).collect::<String>().as_bytes())
        }
    };
    Ok(terminal::conclude(printed, 0))
}

/// Lists the files that differ from a commit, and those that git does not know.
fn changed(folder: &Path, base: &str) -> Result<Vec<String>, Failed> {
    if base.starts_with('-') {
        return Err(Failed::here(format!("`{base}` is no commit")));
    }
    let git = |words: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(folder).args(words);
        let done =
            git.output().map_err(|error| Failed::here(format!("cannot run git: {error}")))?;
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            return Err(Failed::here(format!("git cannot compare with {base}: {why}")));
        }
        let names = done.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>())
    };
    let mut all = git(&["diff", "--name-only", "--relative", "-z", "--merge-base", base, "--"])?;
    all.extend(git(&["ls-files", "--others", "--exclude-standard", "-z"])?);
    Ok(all)
}
