//! A plan that runs, on this machine or on a runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use skep_ci::{
    CachePolicy, Cancel, Plan, RunNote, RunParts, RunRecord, RunResult, Store, StoreRunner, Toolbox,
};
use skep_protocol::SecretName;
use skep_sandbox::{OperatorSecret, Outbound, Wasi03};
use skep_steps::{RunExecutor, RunningGuests};

use super::fetch::HostFetch;
use super::open::OpenPipeline;
use super::options::PipelineFlags;
use super::remote::ReachedRuntime;
use super::sandbox;
use super::show::Progress;
use super::watch::supervise;
use crate::connect::HostConnection;
use crate::failure::Failed;
use crate::{secret, settings};

/// Gets the tools of a plan.
pub(super) fn fill(
    pipeline: &OpenPipeline,
    plan: &Plan,
    flags: &PipelineFlags,
) -> Result<Toolbox, Failed> {
    let mut fetch = HostFetch::new(flags.allow_absolute);
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
    /// The host with the runtime that runs the steps; this machine without.
    pub(super) host: Option<HostConnection>,
    /// Note that `skep ci attach` continues the run with.
    pub(super) note: Option<RunNote>,
    /// The run that is continued.
    pub(super) continued: Option<String>,
    /// The operator's settings, if they are named.
    pub(super) settings: Option<PathBuf>,
    /// The use of WASI 0.3 on this machine.
    pub(super) wasi_0_3: Wasi03,
}

/// Reads the secrets that steps use.
fn secrets(
    plan: &Plan,
    settings: Option<&Path>,
) -> Result<BTreeMap<SecretName, OperatorSecret>, Failed> {
    let used: BTreeSet<_> = plan.steps.iter().flat_map(|step| &step.secrets).collect();
    if used.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut all = settings::own_secrets(settings)?;
    for name in &used {
        if !all.0.contains_key(*name) {
            let message = format!("the settings have no secret `{name}`");
            let hint = "a skep.toml beside the pipeline is not read; name yours with --settings";
            return Err(Failed::here(message).hint(hint));
        }
    }
    all.0.retain(|name, _| used.contains(name));
    secret::read_all(&all)
}

/// Runs a plan.
pub(super) fn run_with(
    pipeline: &OpenPipeline,
    plan: &Plan,
    tools: &Toolbox,
    how: &HowToRun,
) -> Result<RunResult, Failed> {
    // A run that cannot begin leaves no record.
    let reached = how.host.as_ref().map(ReachedRuntime::reach).transpose()?;
    let secrets = match &reached {
        Some(_) => BTreeMap::new(),
        None => secrets(plan, how.settings.as_deref())?,
    };
    let record = record(&pipeline.store, how.continued.as_deref(), how.note.as_ref())?;
    let progress = Progress::start(plan, how.quiet);
    let cancel = Cancel::default();
    let parts = |actions| RunParts {
        plan,
        tools,
        sources: &pipeline.sources,
        store: &pipeline.store,
        actions,
        record: &record,
        project: &pipeline.project,
        pipeline: pipeline.digest(),
        jobs: how.jobs,
        cancel: &cancel,
        observer: &progress,
    };
    let result = match &reached {
        None => {
            let store = &pipeline.store;
            let executor =
                sandbox::executor(store, how.jobs, secrets, Outbound::default(), how.wasi_0_3);
            let running = RunningGuests::default();
            let executor =
                RunExecutor { executor: &executor, running: &running, name: "local", apart: false };
            let (policy, run_id) = (how.policy, record.run_id.as_str());
            let actions = StoreRunner { store, executor: &executor, policy, run_id };
            supervise(&cancel, &|| running.cancel(), || skep_ci::run(&parts(&actions)))
        }
        Some(reached) => {
            let run = record.run_id.parse().map_err(|error| Failed::here(format!("{error}")))?;
            let remote = reached.runner(&pipeline.store, run, &plan.salt, how.policy);
            supervise(&cancel, &|| remote.cancel(), || skep_ci::run(&parts(&remote)))
        }
    };
    progress.finish();
    result.map_err(|error| Failed::here(format!("cannot write the record of the run: {error}")))
}

/// Begins the record of a run, or continues that of one whose process is gone.
fn record(
    store: &Store,
    continued: Option<&str>,
    note: Option<&RunNote>,
) -> Result<RunRecord, Failed> {
    let cannot = |error: std::io::Error| {
        Failed::here(format!("cannot begin the record of the run: {error}"))
    };
    if let Some(run) = continued {
        return RunRecord::resume(store, run).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                Failed::here(format!("the run {run} is still attached to a process"))
                    .hint("`skep ci logs` shows what its steps print")
            }
            _ => cannot(error),
        });
    }
    let record = RunRecord::begin(store).map_err(cannot)?;
    if let Some(note) = note {
        record.keep_note(note).map_err(cannot)?;
    }
    Ok(record)
}
