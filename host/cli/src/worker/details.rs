//! `skep worker show`, `usage` and `diagnostics`: the details of one worker.

use clap::Args;
use skep_protocol::text::neutral;
use skep_protocol::{Diagnostic, DiagnosticCode, FleetDiagnostic, Overview, WorkerSample, Workers};

use super::{grants, view};
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::{DeniedReport, ItemsReport, WorkerReport};
use crate::table::Table;
use crate::{json, terminal};

/// The command line of a subcommand that needs only a worker.
#[derive(Args)]
pub(super) struct OneWorkerArgs {
    /// Worker: its id, RUNTIME/ID, or name
    pub(super) worker: String,

    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

/// The command line of `usage`.
#[derive(Args)]
pub(super) struct UsageArgs {
    #[command(flatten)]
    one: OneWorkerArgs,

    /// Show samples of the recent past instead, which the runtime keeps in memory
    #[arg(long)]
    history: bool,
}

impl UsageArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.one.connect.output
    }
}

/// The command line of `diagnostics`.
#[derive(Args)]
pub(super) struct DiagnosticsArgs {
    /// Worker: its id, RUNTIME/ID, or name [default: all runtimes and their workers]
    worker: Option<String>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl DiagnosticsArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

/// Shows a worker with its recent denials.
pub(super) async fn show(one: &OneWorkerArgs) -> Result<u8, Failed> {
    let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
    let view = runtime.get(worker).await?;
    let diagnostics = runtime.diagnostics(Some(worker)).await?;
    let denied: Vec<_> = diagnostics
        .into_iter()
        .filter(|diagnostic| diagnostic.code == DiagnosticCode::Denied)
        .map(|Diagnostic { at, message, denial, .. }| {
            // The flags of this command lead the suggested command to the same worker.
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
    let mut table = view::table(&view);
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

pub(super) async fn usage(arguments: &UsageArgs) -> Result<u8, Failed> {
    let UsageArgs { one, history } = arguments;
    let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
    if *history {
        let history = runtime.usage_history(worker).await?;
        match one.connect.output {
            OutputFormat::Json => terminal::print(&json::line(&history))?,
            OutputFormat::Text => terminal::print(samples(&history.items).text().as_bytes())?,
        }
        return Ok(0);
    }
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

fn samples(samples: &[WorkerSample]) -> Table {
    let headings = ["AT", "TURNS", "CPU US", "MEMORY", "FILES", "TRANSCRIPT", "QUEUED"];
    let mut table = Table::new(&headings);
    for sample in samples {
        table.row([
            &sample.at,
            &sample.turns,
            &sample.cpu_us,
            &sample.memory_bytes,
            &sample.disk_bytes,
            &sample.transcript_bytes,
            &sample.queued_inputs,
        ]);
    }
    table
}

pub(super) async fn diagnostics(arguments: &DiagnosticsArgs) -> Result<u8, Failed> {
    let connection = arguments.connect.connect()?;
    let Some(worker) = &arguments.worker else {
        let listing = connection.host()?.diagnostics().await?;
        return all_diagnostics(&listing.items, arguments.output());
    };
    let (runtime, worker) = connection.worker(worker).await?;
    let items = runtime.diagnostics(Some(worker)).await?;
    match arguments.output() {
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

fn all_diagnostics(items: &[FleetDiagnostic], output: OutputFormat) -> Result<u8, Failed> {
    match output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items: items.to_vec() }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["AT", "RUNTIME", "CODE", ""]);
            for FleetDiagnostic { runtime_id, diagnostic } in items {
                let Diagnostic { at, code, message, .. } = diagnostic;
                table.row([at, runtime_id, &code.as_str(), message]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}
