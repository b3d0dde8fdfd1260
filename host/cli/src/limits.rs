//! `skep limits`: the limits of a host, with what each bounds.

use clap::Args;
use skep_protocol::LimitView;
use skep_protocol::limits::OFF;

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::ItemsReport;
use crate::table::Table;
use crate::{json, terminal};

/// List the limits of workers, with their defaults and the most that your token may set
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep limits
  skep worker update tally --limit memory_bytes=64MiB
  skep limits --output json | jq '.items[] | select(.per_worker)'")]
pub(crate) struct LimitsArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn limits(arguments: &LimitsArgs) -> u8 {
    talk(arguments.connect.output, list(&arguments.connect))
}

async fn list(connect: &ConnectArgs) -> Result<u8, Failed> {
    let items = connect.connect()?.host()?.limits().await?.items;
    match connect.output {
        OutputFormat::Json => terminal::print(&json::line(&ItemsReport { items }))?,
        OutputFormat::Text => {
            let mut table = Table::new(&["LIMIT", "DEFAULT", "AT MOST", "BOUNDS"]);
            for item in &items {
                let LimitView { name, unit, default, why, .. } = item;
                table.row([name, &unit.show(default.unwrap_or(OFF)), &ceiling(item), why]);
            }
            terminal::print(table.text().as_bytes())?;
        }
    }
    Ok(0)
}

/// Returns the most that the caller may set.
fn ceiling(limit: &LimitView) -> String {
    match (limit.per_worker, limit.ceiling) {
        (false, _) => "fixed".into(),
        (true, Some(ceiling)) => limit.unit.show(ceiling),
        (true, None) => "any".into(),
    }
}
