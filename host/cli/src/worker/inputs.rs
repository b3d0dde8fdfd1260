//! `skep worker inputs`: the queued and recent inputs of a worker.

use clap::Args;
use skep_protocol::{InputState, InputSummary, ListInputs, Timestamp, TokenId, Turns};

use crate::connect::ConnectArgs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// Inputs of a page.
const PAGE: usize = 1_000;

#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker inputs tally
  skep worker inputs tally --last 1 --output json | jq -r '.items[0].ending'")]
pub(super) struct InputsArgs {
    /// Worker: its id, RUNTIME/ID, or name
    worker: String,

    /// Number of inputs, from the newest
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,

    #[command(flatten)]
    connect: ConnectArgs,
}

impl InputsArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.connect.output
    }
}

pub(super) async fn inputs(arguments: &InputsArgs) -> Result<u8, Failed> {
    let (runtime, worker) = arguments.connect.connect()?.worker(&arguments.worker).await?;
    let wanted = arguments.last as usize;
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let limit = (wanted - items.len()).min(PAGE);
        let page = runtime.inputs(worker, ListInputs { limit, cursor }).await?;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || items.len() >= wanted {
            break;
        }
    }
    match arguments.output() {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let headings = ["INPUT", "SEQ", "ACCEPTED", "TOOK", "STATE", "BYTES", "SENDER"];
            let mut table = Table::new(&headings);
            for item in &items {
                table.row([
                    &item.input_id,
                    &item.seq,
                    &item.accepted_at,
                    &took(item),
                    &state(item),
                    &item.bytes,
                    &item.sender.as_ref().map_or("-", TokenId::as_str),
                ]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

/// Returns the time of the last attempt, if it has ended.
fn took(item: &InputSummary) -> String {
    match (item.started_at, item.ended_at) {
        (Some(Timestamp(start)), Some(Timestamp(end))) => {
            format!("{} ms", end.saturating_sub(start))
        }
        _ => "-".into(),
    }
}

fn state(item: &InputSummary) -> String {
    match (item.ending, item.state) {
        (Some(ending), _) => ending.as_str().into(),
        (None, InputState::Queued) => "queued".into(),
        (None, _) => format!("running, attempt {}", item.attempt),
    }
}
