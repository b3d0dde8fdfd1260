//! `skep runtimes`: the runtimes that a host routes to.

use clap::Args;

use crate::connect::{ConnectArgs, talk};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::table::Table;
use crate::{json, terminal};

/// List the runtimes that a host routes to
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep runtimes
  skep runtimes --output json | jq '.items[] | select(.status != \"available\")'")]
pub(crate) struct RuntimesArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn runtimes(arguments: &RuntimesArgs) -> u8 {
    talk(arguments.connect.output, list(&arguments.connect))
}

async fn list(connect: &ConnectArgs) -> Result<u8, Failed> {
    let listing = connect.connect()?.host()?.runtimes().await?;
    if connect.output == OutputFormat::Json {
        terminal::print(&json::line(&listing))?;
        return Ok(0);
    }
    let mut table = Table::new(&["RUNTIME", "NAME", "SOURCE", "STATUS", "WORKERS"]);
    for runtime in &listing.items {
        let status = match runtime.unavailable_since {
            None => runtime.status.as_str().to_owned(),
            Some(since) => format!("{} since {since}", runtime.status.as_str()),
        };
        let workers = runtime.workers.map_or_else(String::new, |workers| workers.to_string());
        table.row([
            &runtime.runtime_id,
            &runtime.display_name,
            &runtime.source.as_str(),
            &status,
            &workers,
        ]);
    }
    terminal::print(table.text().as_bytes())?;
    for diagnostic in &listing.diagnostics {
        let code = diagnostic.code.as_str();
        terminal::say("warning", &format!("{code}: {}", diagnostic.message));
    }
    Ok(0)
}
