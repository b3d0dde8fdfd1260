//! A plan that runs on this machine.

use std::collections::BTreeMap;

use skep_ci::{CachePolicy, Cancel, Plan, RunParts, RunRecord, RunResult, Toolbox};

use super::fetch::HostFetch;
use super::local::LocalExecutor;
use super::open::OpenPipeline;
use super::show::Progress;
use super::watch::supervise;
use crate::failure::Failed;
use crate::secret;
use crate::settings::{LocationArgs, Settings};

/// Gets the tools of a plan.
pub(super) fn fill(pipeline: &OpenPipeline, plan: &Plan) -> Result<Toolbox, Failed> {
    let mut fetch = HostFetch::new();
    Toolbox::fill(plan, &pipeline.store, &pipeline.sources, &mut fetch).map_err(|error| {
        let wrong = matches!(error, skep_ci::ToolError::WrongDigest { .. });
        let failed = Failed::here(error.to_string());
        match wrong {
            true => {
                failed.hint("the pin and the file differ; check both before you change the pin")
            }
            false => failed,
        }
    })
}

/// The way in which a plan is run.
pub(super) struct HowToRun {
    pub(super) jobs: usize,
    pub(super) policy: CachePolicy,
    pub(super) quiet: bool,
}

/// Runs a plan on this machine.
pub(super) fn run_with(
    pipeline: &OpenPipeline,
    plan: &Plan,
    tools: &Toolbox,
    how: &HowToRun,
) -> Result<RunResult, Failed> {
    let secrets = match plan.steps.iter().any(|step| !step.secrets.is_empty()) {
        true => {
            let settings = Settings::gather(&LocationArgs::default(), None)?;
            secret::read_all(&settings.secrets)?
        }
        false => BTreeMap::new(),
    };
    let used = plan.steps.iter().flat_map(|step| &step.secrets);
    for name in used {
        if !secrets.contains_key(name) {
            return Err(Failed::here(format!("skep.toml has no secret `{name}`")));
        }
    }
    let executor = LocalExecutor::start(&pipeline.store, how.jobs, secrets)?;
    let record = RunRecord::begin(&pipeline.store)
        .map_err(|error| Failed::here(format!("cannot begin the record of the run: {error}")))?;
    let cancel = Cancel::default();
    let progress = Progress::start(plan, how.quiet);
    let parts = RunParts {
        plan,
        tools,
        sources: &pipeline.sources,
        store: &pipeline.store,
        executor: &executor,
        record: &record,
        policy: how.policy,
        project: &pipeline.project,
        pipeline: pipeline.digest(),
        jobs: how.jobs,
        cancel: &cancel,
        observer: &progress,
    };
    let result = supervise(&cancel, &executor, || skep_ci::run(&parts));
    progress.finish();
    result.map_err(|error| Failed::here(format!("cannot write the record of the run: {error}")))
}
