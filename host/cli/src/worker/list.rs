//! `skep worker list`.

use clap::Args;
use skep_protocol::{
    ComponentDigest, ComponentKind, LabelFilter, ListWorkers, ObservedState, SearchText, SortOrder,
    WorkerFilter, WorkerSort,
};

use super::view::state;
use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// Workers of a page.
const PAGE: usize = 1_000;

#[derive(Args)]
pub(super) struct ListArgs {
    /// Only workers with this text in their id, name or labels
    #[arg(short = 'q', long = "filter", value_name = "TEXT")]
    text: Option<SearchText>,

    /// Only workers in this state: idle, busy, exited, failed or stopped
    #[arg(long, value_name = "STATE")]
    state: Option<ObservedState>,

    /// Only workers with this label
    #[arg(long, value_name = "K=V")]
    label: Option<LabelFilter>,

    /// Only workers of this kind: service, command or http
    #[arg(long, value_name = "KIND")]
    kind: Option<ComponentKind>,

    /// Only workers of this component
    #[arg(long, value_name = "DIGEST")]
    component: Option<ComponentDigest>,

    /// Order: id, name, created_at, updated_at, state or queued_inputs [default: by runtime and id]
    #[arg(long, value_name = "PROPERTY")]
    sort: Option<WorkerSort>,

    /// Reverse the order
    #[arg(long)]
    reverse: bool,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl ListArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }

    fn query(&self) -> ListWorkers {
        let filter = WorkerFilter {
            q: self.text.clone(),
            label: self.label.clone(),
            kind: self.kind,
            component: self.component,
            state: self.state,
            ..WorkerFilter::default()
        };
        let order = if self.reverse { SortOrder::Desc } else { SortOrder::Asc };
        ListWorkers { filter, sort: self.sort, order, ..ListWorkers::default() }
    }
}

pub(super) async fn list(arguments: &ListArgs) -> Result<u8, Failed> {
    let connect = &arguments.connect;
    let host = connect.connect()?.host()?;
    let (mut items, mut diagnostics, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let query = ListWorkers { limit: PAGE, cursor, ..arguments.query() };
        let page = host.workers(None, query).await?;
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
