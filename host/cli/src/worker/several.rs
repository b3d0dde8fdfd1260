//! `skep worker start`, `stop`, `rm` and `label`: one action on one or several workers.

use clap::Args;
use futures_util::StreamExt;
use skep_client::{Client, HostClient};
use skep_protocol::{
    BulkAction, BulkFilter, BulkRequest, BulkWorker, Error, LabelFilter, Labels, SearchText,
    WorkerId, Workers,
};

use super::create::labels;
use super::view;
use crate::connect::{ConnectArgs, HostConnection};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{json, key_value, terminal};

/// The command line of an action on workers.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker stop tally
  skep worker stop --label env=test --dry-run
  skep worker rm --label env=test")]
pub(super) struct SeveralArgs {
    #[command(flatten)]
    selected: SelectedArgs,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// The command line of `label`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker label tally --set env=test
  skep worker label --filter tally --set env=test --set team=wasps")]
pub(super) struct LabelArgs {
    #[command(flatten)]
    selected: SelectedArgs,

    /// Label to add or replace. Repeat for more
    #[arg(long, value_name = "K=V", required = true, value_parser = key_value::parse)]
    set: Vec<(String, String)>,

    #[command(flatten)]
    connect: ConnectArgs,
}

/// The workers of an action.
#[derive(Args)]
struct SelectedArgs {
    /// Workers: their ids, RUNTIME/ID, or names
    #[arg(required_unless_present_any = ["text", "label"], conflicts_with_all = ["text", "label"])]
    workers: Vec<String>,

    /// All workers with this text in their id, name or labels
    #[arg(short = 'q', long = "filter", value_name = "TEXT")]
    text: Option<SearchText>,

    /// All workers with this label
    #[arg(long, value_name = "K=V")]
    label: Option<LabelFilter>,

    /// Only show how many workers --filter and --label select
    #[arg(long, conflicts_with = "workers")]
    dry_run: bool,
}

impl SeveralArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

impl LabelArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

impl SelectedArgs {
    /// Returns the request for an action on the workers that the flags select.
    fn request(&self, action: BulkAction, connect: &ConnectArgs) -> BulkRequest {
        let filter = BulkFilter {
            runtime_id: connect.runtime().cloned(),
            q: self.text.clone(),
            label: self.label.clone(),
            ..BulkFilter::default()
        };
        let preview = self.dry_run;
        BulkRequest { action, workers: None, filter: Some(filter), labels: None, preview }
    }

    async fn named(&self, connection: &HostConnection) -> Result<Vec<(Client, WorkerId)>, Failed> {
        let mut found = Vec::new();
        for name in &self.workers {
            found.push(connection.worker(name).await?);
        }
        Ok(found)
    }
}

/// An action on workers.
#[derive(Clone, Copy)]
pub(super) enum WorkerAction {
    Start,
    Stop,
    Remove,
}

impl WorkerAction {
    fn in_bulk(self) -> BulkAction {
        match self {
            Self::Start => BulkAction::Start,
            Self::Stop => BulkAction::Stop,
            Self::Remove => BulkAction::Remove,
        }
    }
}

/// Carries out the action on each worker, and goes on after a failure.
pub(super) async fn each(several: &SeveralArgs, action: WorkerAction) -> Result<u8, Failed> {
    let SeveralArgs { selected, connect } = several;
    let connection = connect.connect()?;
    if selected.workers.is_empty() {
        return bulk(
            &connection.host()?,
            selected.request(action.in_bulk(), connect),
            connect.output,
        )
        .await;
    }
    let found = selected.named(&connection).await?;
    let count = found.len();
    let mut failed = 0;
    for (runtime, worker) in found {
        if let Err(error) = one(&runtime, worker, action, connect.output).await? {
            if count == 1 {
                return Err(error.into());
            }
            terminal::say("error", &format!("{worker}: {error}"));
            failed += 1;
        }
    }
    conclude(failed, count)
}

/// Adds labels to workers.
pub(super) async fn label(arguments: &LabelArgs) -> Result<u8, Failed> {
    let LabelArgs { selected, set, connect } = arguments;
    let connection = connect.connect()?;
    let new: Option<Labels> = labels(set)?;
    let mut request = BulkRequest { labels: new, ..selected.request(BulkAction::Label, connect) };
    if !selected.workers.is_empty() {
        let found = selected.named(&connection).await?;
        let place = |(runtime, worker_id): (Client, WorkerId)| {
            Some(BulkWorker { runtime_id: runtime.runtime_id()?.clone(), worker_id })
        };
        request.workers = Some(found.into_iter().filter_map(place).collect());
        request.filter = None;
    }
    bulk(&connection.host()?, request, connect.output).await
}

/// Carries out a bulk request with a line for each worker, or only counts its workers.
async fn bulk(host: &HostClient, request: BulkRequest, output: OutputFormat) -> Result<u8, Failed> {
    let preview = host.preview_bulk(&request).await?;
    for diagnostic in &preview.diagnostics {
        terminal::say("warning", &diagnostic.message);
    }
    if request.preview {
        match output {
            OutputFormat::Json => terminal::print(&json::line(&preview))?,
            OutputFormat::Text => {
                terminal::print(format!("{} workers\n", preview.count).as_bytes())?
            }
        }
        return Ok(0);
    }
    let (mut count, mut failed) = (0, 0);
    let mut results = host.bulk(&request).await?;
    while let Some(result) = results.next().await {
        let result = result?;
        count += 1;
        if !result.ok {
            failed += 1;
        }
        match (output, &result.problem) {
            (OutputFormat::Json, _) => terminal::print(&json::line(&result))?,
            (OutputFormat::Text, Some(problem)) => {
                terminal::say("error", &format!("{}: {}", result.worker_id, problem.detail));
            }
            (OutputFormat::Text, None) => {
                let done = match request.action {
                    BulkAction::Start => "started",
                    BulkAction::Stop => "stopped",
                    BulkAction::Remove => "removed",
                    BulkAction::Label => "labelled",
                };
                terminal::say(done, &result.worker_id.to_string());
            }
        }
    }
    conclude(failed, count)
}

/// Returns the exit code of an action on several workers.
fn conclude(failed: usize, count: usize) -> Result<u8, Failed> {
    if count == 0 {
        terminal::say("note", "no worker matches");
    }
    match failed {
        0 => Ok(0),
        _ => Err(Failed::here(format!("{failed} of {count} workers failed"))),
    }
}

/// Carries out the action on one worker. The outer error is one of the output.
async fn one(
    runtime: &Client,
    worker: WorkerId,
    action: WorkerAction,
    output: OutputFormat,
) -> Result<Result<(), Error>, Failed> {
    let changed = match action {
        WorkerAction::Start => runtime.start(worker).await.map(Some),
        WorkerAction::Stop => runtime.stop(worker).await.map(Some),
        WorkerAction::Remove => runtime.remove(worker).await.map(|()| None),
    };
    match (changed, output) {
        (Err(error), _) => return Ok(Err(error)),
        (Ok(Some(view)), output) => view::show(&view, output)?,
        (Ok(None), OutputFormat::Json) => terminal::print(b"{}\n")?,
        (Ok(None), OutputFormat::Text) => terminal::say("removed", &worker.to_string()),
    }
    Ok(Ok(()))
}
