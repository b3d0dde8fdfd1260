//! `skep worker list`.

use clap::Args;
use skep_protocol::ListWorkers;

use super::view::state;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, key_value, terminal};

/// Workers of a page.
const PAGE: usize = 1_000;

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only workers in this state: idle, busy, exited, failed or stopped
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Only workers with this label
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    label: Option<(String, String)>,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl ListArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

pub(super) async fn list(arguments: &ListArgs) -> Result<u8, Failed> {
    let ListArgs { state: wanted, label, connect } = arguments;
    let host = connect.connect()?.host()?;
    let (mut items, mut diagnostics, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let query = ListWorkers { limit: PAGE, cursor, label: label.clone() };
        let page = host.workers(None, query, wanted.as_deref()).await?;
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
                    &state(worker),
                    &worker.queued_inputs,
                    &worker.runtime_id,
                ]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}
