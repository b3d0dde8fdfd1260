//! A worker as text or JSON.

use skep_protocol::{Execution, Observed, WorkerView};

use crate::output::OutputFormat;
use crate::table::Table;
use crate::terminal::LostOutput;
use crate::{json, terminal};

/// Prints a worker.
pub(super) fn show(worker: &WorkerView, output: OutputFormat) -> Result<(), LostOutput> {
    match output {
        OutputFormat::Json => terminal::print(&json::line(worker)),
        OutputFormat::Text => terminal::print(table(worker).text().as_bytes()),
    }
}

/// Returns the table that describes a worker.
pub(super) fn table(worker: &WorkerView) -> Table {
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
    table.row([&"state", &state(worker)]);
    table.row([&"queued", &worker.queued_inputs]);
    for (kind, what) in worker.spec.grants.words() {
        table.row([&"grant", &format!("{kind} {what}")]);
    }
    table.row([&"created", &worker.created_at]);
    table
}

/// Returns a worker's state in words.
pub(super) fn state(worker: &WorkerView) -> String {
    let state = worker.observed.as_str();
    match (&worker.observed, worker.execution) {
        (Observed::Exited { code }, _) => format!("{state} {code}"),
        (Observed::Failed { reason }, _) => format!("{state}: {}", reason.as_str()),
        (Observed::Idle | Observed::Busy, Execution::Connected) => format!("{state}, connected"),
        _ => state.into(),
    }
}
