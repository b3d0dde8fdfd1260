//! `skep worker start`, `stop` and `rm`: one action on one or several workers.

use clap::Args;
use skep_client::Client;
use skep_protocol::{
    Error, LabelFilter, ListWorkers, SearchText, WorkerFilter, WorkerId, WorkerView, Workers,
};

use super::view;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::terminal;

/// Workers of a page.
const PAGE: usize = 1_000;

/// The command line of an action on workers.
#[derive(Args)]
pub(super) struct SeveralArgs {
    /// Workers: their ids, RUNTIME/ID, or names
    #[arg(required_unless_present_any = ["text", "label"], conflicts_with_all = ["text", "label"])]
    workers: Vec<String>,

    /// All workers with this text in their id, name or labels
    #[arg(short = 'q', long = "filter", value_name = "TEXT")]
    text: Option<SearchText>,

    /// All workers with this label
    #[arg(long, value_name = "K=V")]
    label: Option<LabelFilter>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl SeveralArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }

    /// Finds the workers.
    async fn find(&self) -> Result<Vec<(Client, WorkerId)>, Failed> {
        let connection = self.connect.connect()?;
        let mut found = Vec::new();
        for name in &self.workers {
            found.push(connection.worker(name).await?);
        }
        if !self.workers.is_empty() {
            return Ok(found);
        }
        let host = connection.host()?;
        let (q, label) = (self.text.clone(), self.label.clone());
        let filter = WorkerFilter { q, label, ..WorkerFilter::default() };
        let mut query = ListWorkers { limit: PAGE, filter, ..ListWorkers::default() };
        loop {
            let page = host.workers(None, query.clone()).await?;
            for item in page.items {
                let WorkerView { runtime_id, worker_id, .. } = item.worker;
                if self.connect.names(&runtime_id) {
                    found.push((host.client(&runtime_id), worker_id));
                }
            }
            for diagnostic in page.diagnostics {
                terminal::say("warning", &diagnostic.message);
            }
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return Ok(found);
            }
        }
    }
}

/// An action on workers.
#[derive(Clone, Copy)]
pub(super) enum WorkerAction {
    Start,
    Stop,
    Remove,
}

/// Carries out the action on each worker, and goes on after a failure.
pub(super) async fn each(several: &SeveralArgs, action: WorkerAction) -> Result<u8, Failed> {
    let found = several.find().await?;
    let count = found.len();
    let mut failed = Vec::new();
    for (runtime, worker) in found {
        if let Err(error) = one(&runtime, worker, action, several.output()).await? {
            if count == 1 {
                return Err(error.into());
            }
            terminal::say("error", &format!("{worker}: {error}"));
            failed.push(worker);
        }
    }
    if failed.is_empty() {
        if count == 0 {
            terminal::say("note", "no worker matches");
        }
        return Ok(0);
    }
    Err(Failed::here(format!("{} of {count} workers failed", failed.len())))
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
