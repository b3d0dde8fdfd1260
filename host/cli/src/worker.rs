//! `skep worker`: making, feeding, watching, changing and removing workers.

mod create;
mod files;
mod follow;
mod grants;
mod said;
mod send;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use skep_protocol::text::neutral;
use skep_protocol::{
    Diagnostic, DiagnosticCode, Execution, ListWorkers, Observed, Overview, WorkerChange,
    WorkerView, Workers,
};

use crate::component::push;
use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::report::{DeniedReport, ItemsReport, WorkerReport};
use crate::table::Table;
use crate::terminal::Lost;
use crate::{OutputFormat, json, terminal};

/// Makes, feeds, watches, changes and removes workers. WORKER is an id, RUNTIME/ID, or a name that
/// only one worker has.
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker create counter.wasm --name tally
  skep worker send tally add 1
  skep worker logs -f tally
  skep worker stop tally && skep worker start tally
  skep worker update tally --component counter2.wasm && skep worker rollback tally
  skep worker grant tally --http https://api.example.com
  skep worker rm tally")]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Makes a worker of a component: a file, or the digest of a stored one
    Create(Box<create::CreateArgs>),
    /// Lists workers, of all runtimes unless one is named
    List {
        /// Only those in this state: idle, busy, exited, failed or stopped
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only those with this label
        #[arg(long, value_name = "K=V", value_parser = create::pair)]
        label: Option<(String, String)>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Shows a worker, its grants, and how to allow what it was last denied
    Show(One),
    /// Shows what a worker has used
    Usage(One),
    /// Shows what was noticed about a worker
    Diagnostics(One),
    /// Gives a worker an input and waits for the outcome
    Send(send::SendArgs),
    /// Lets a stopped or failed worker run again
    Start(One),
    /// Ends its turn after a grace time and begins no other; what is queued stays
    Stop(One),
    /// Changes its component, config, name or labels; takes effect between two turns
    Update(create::UpdateArgs),
    /// Lets it do more: reach directories and hosts, use secrets; counts from its next turn on
    Grant(grants::GrantArgs),
    /// Lets it do less
    Revoke(grants::RevokeArgs),
    /// Brings back the component and config from before the last update
    Rollback(One),
    /// Removes a worker with all that it has; its id is never used again
    Rm(One),
    /// Shows what a worker wrote to stdout and stderr, and what it was denied
    Logs(follow::FollowArgs),
    /// Shows a worker's whole transcript: inputs, events, lines, outcomes
    Events(follow::FollowArgs),
    /// Lists, reads and writes the files of a worker's directory
    Files(files::FilesArgs),
}

/// One worker, and nothing more to say.
#[derive(Args)]
struct One {
    /// Which
    worker: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command and returns the exit code.
pub(crate) fn worker(arguments: WorkerArgs, guest: Vec<OsString>) -> u8 {
    match arguments.verb {
        Verb::Create(arguments) => talk(arguments.output(), create::create(&arguments)),
        Verb::List { state, label, connect } => {
            talk(connect.output, list(state.as_deref(), label, &connect))
        }
        Verb::Show(one) => talk(one.connect.output, look(&one)),
        Verb::Usage(one) => talk(one.connect.output, usage(&one)),
        Verb::Diagnostics(one) => talk(one.connect.output, diagnostics(&one)),
        Verb::Send(mut arguments) => {
            arguments.words = guest;
            talk(arguments.output(), send::send(&arguments))
        }
        Verb::Start(one) => talk(one.connect.output, async {
            let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
            show(&runtime.start(worker).await?, one.connect.output)?;
            Ok(0)
        }),
        Verb::Stop(one) => talk(one.connect.output, async {
            let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
            show(&runtime.stop(worker).await?, one.connect.output)?;
            Ok(0)
        }),
        Verb::Update(arguments) => talk(arguments.output(), update(&arguments)),
        Verb::Grant(arguments) => talk(arguments.output(), grants::grant(&arguments)),
        Verb::Revoke(arguments) => talk(arguments.output(), grants::revoke(&arguments)),
        Verb::Rollback(one) => talk(one.connect.output, async {
            let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
            show(&runtime.rollback(worker).await?, one.connect.output)?;
            Ok(0)
        }),
        Verb::Rm(one) => talk(one.connect.output, async {
            let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
            runtime.remove(worker).await?;
            match one.connect.output {
                OutputFormat::Json => terminal::print(b"{}\n")?,
                OutputFormat::Text => terminal::say("removed", &worker.to_string()),
            }
            Ok(0)
        }),
        Verb::Logs(arguments) => {
            talk(arguments.output(), follow::follow(&arguments, follow::What::Lines))
        }
        Verb::Events(arguments) => {
            talk(arguments.output(), follow::follow(&arguments, follow::What::All))
        }
        Verb::Files(arguments) => talk(arguments.output(), files::files(arguments)),
    }
}

async fn update(arguments: &create::UpdateArgs) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let component = match &arguments.component {
        None => None,
        Some(named) => match named.parse() {
            Ok(digest) => Some(digest),
            Err(_) => Some(push(&runtime, named.as_ref()).await?.item.digest),
        },
    };
    let change = WorkerChange {
        component,
        config: create::config(&runtime, &arguments.config).await?,
        display_ref: arguments.name.clone(),
        labels: create::labels(&arguments.label)?,
        ..WorkerChange::default()
    };
    if change == WorkerChange::default() {
        return Err(
            Failed::here("nothing to change").hint("give --component, --config, --name or --label")
        );
    }
    show(&runtime.update(worker, change).await?, arguments.output())?;
    Ok(0)
}

async fn list(
    state: Option<&str>,
    label: Option<(String, String)>,
    connect: &ConnectArgs,
) -> Result<u8, Failed> {
    let host = connect.connect()?.host()?;
    let (mut items, mut diagnostics, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let query = ListWorkers { limit: 1_000, cursor, label: label.clone() };
        let page = host.workers(None, query, state).await?;
        items.extend(page.items.into_iter().filter(|item| connect.names(&item.worker.runtime_id)));
        diagnostics.extend(page.diagnostics);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    for diagnostic in &diagnostics {
        terminal::say("warning", &format!("{}: {}", diagnostic.code.as_str(), diagnostic.message));
    }
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["WORKER", "NAME", "KIND", "STATE", "QUEUED", "RUNTIME"]);
            for item in &items {
                let worker = &item.worker;
                let name = worker.spec.display_ref.as_ref().map_or("", |name| name.as_str());
                table.row([
                    &worker.worker_id,
                    &name,
                    &worker.kind,
                    &state_of(worker),
                    &worker.queued_inputs,
                    &worker.runtime_id,
                ]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

async fn usage(one: &One) -> Result<u8, Failed> {
    let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
    let usage = runtime.usage(worker).await?;
    match one.connect.output {
        OutputFormat::Json => terminal::print(&json::line(&usage))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["USED", ""]);
            table.row([&"turns", &usage.turns]);
            table.row([&"wall time (us)", &usage.wall_us]);
            table.row([&"CPU time (us)", &usage.cpu_us]);
            table.row([&"peak memory (bytes)", &usage.memory_peak_bytes]);
            table.row([&"files (bytes)", &usage.disk_bytes]);
            table.row([&"files", &usage.disk_entries]);
            table.row([&"state (bytes)", &usage.state_bytes]);
            table.row([&"transcript (bytes)", &usage.transcript_bytes]);
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

async fn diagnostics(one: &One) -> Result<u8, Failed> {
    let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
    let items = runtime.diagnostics(Some(worker)).await?;
    match one.connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["AT", "CODE", ""]);
            for item in &items {
                table.row([&item.at, &item.code.as_str(), &item.message]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

/// Shows a worker with what it was denied lately.
async fn look(one: &One) -> Result<u8, Failed> {
    let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
    let view = runtime.get(worker).await?;
    let noticed = runtime.diagnostics(Some(worker)).await?;
    let denied: Vec<_> = noticed
        .into_iter()
        .filter(|noticed| noticed.code == DiagnosticCode::Denied)
        .map(|Diagnostic { at, message, denial, .. }| {
            // What this was asked with leads to the same worker.
            let allow =
                denial.as_ref().and_then(|it| grants::command(&one.worker, &one.connect, it));
            let wanted = denial.and_then(|denial| denial.wanted).unwrap_or(message);
            DeniedReport { at, wanted, allow }
        })
        .collect();
    if one.connect.output == OutputFormat::Json {
        terminal::print(&json::line(&WorkerReport { worker: &view, denied }))?;
        return Ok(0);
    }
    let mut table = table(&view);
    for DeniedReport { at, wanted, .. } in &denied {
        table.row([&"denied", &format!("{at}  {wanted}")]);
    }
    terminal::print(table.text().as_bytes())?;
    for DeniedReport { wanted, allow, .. } in &denied {
        if let Some(command) = allow {
            let (command, wanted) = (neutral(command), neutral(wanted));
            terminal::say("hint", &format!("`{command}` allows {wanted}"));
        }
    }
    Ok(0)
}

/// Shows a worker as it is now.
fn show(worker: &WorkerView, output: OutputFormat) -> Result<(), Lost> {
    match output {
        OutputFormat::Json => terminal::print(&json::line(worker)),
        OutputFormat::Text => terminal::print(table(worker).text().as_bytes()),
    }
}

fn table(worker: &WorkerView) -> Table {
    let mut table = Table::new(&["WORKER", &worker.worker_id.to_string()]);
    if let Some(name) = &worker.spec.display_ref {
        table.row([&"name", name]);
    }
    table.row([&"runtime", &worker.runtime_id]);
    table.row([&"kind", &worker.kind]);
    table.row([&"component", &worker.spec.component]);
    if let Some(config) = &worker.spec.config {
        table.row([&"config", config]);
    }
    for (key, value) in worker.spec.labels.iter() {
        table.row([&"label", &format!("{key}={value}")]);
    }
    table.row([&"state", &state_of(worker)]);
    table.row([&"queued", &worker.queued_inputs]);
    for (kind, what) in worker.spec.grants.words() {
        table.row([&"grant", &format!("{kind} {what}")]);
    }
    table.row([&"created", &worker.created_at]);
    table
}

fn state_of(worker: &WorkerView) -> String {
    let state = worker.observed.as_str();
    match (&worker.observed, worker.execution) {
        (Observed::Exited { code }, _) => format!("{state} {code}"),
        (Observed::Failed { reason }, _) => format!("{state}: {}", reason.as_str()),
        (Observed::Idle | Observed::Busy, Execution::Connected) => format!("{state}, connected"),
        _ => state.into(),
    }
}
