//! `skep ci gc`: removes old results.

use std::time::Duration;

use clap::Args;
use skep_ci::Keep;
use skep_protocol::quantity;

use super::paint::bytes;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{ambient, json, terminal};

/// Remove old results and what only they need
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci gc
  skep ci gc --keep 2GiB --older 48h

The last 20 runs are always kept.")]
pub(crate) struct CiGcArgs {
    /// Maximum size of what is kept; the results that were not used for longest go first
    #[arg(long, value_name = "SIZE", default_value = "10GiB", value_parser = quantity::bytes)]
    keep: u64,

    /// Remove results that are older
    #[arg(long, value_name = "TIME", default_value = "336h", value_parser = quantity::duration)]
    older: Duration,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

impl CiGcArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.output
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn gc(arguments: &CiGcArgs) -> Result<u8, Failed> {
    let cannot = |error: std::io::Error| Failed::here(format!("cannot clean the cache: {error}"));
    let root = ambient::ci_cache().map_err(cannot)?;
    let keep = Keep { bytes: arguments.keep, age: arguments.older };
    let Some(done) = skep_ci::gc(root, &keep).map_err(cannot)? else {
        return Err(Failed::here("a run uses the cache").hint("try again when it has ended"));
    };
    let printed = match arguments.output {
        OutputFormat::Json => terminal::print(&json::line(&done)),
        OutputFormat::Text => terminal::print(
            format!(
                "removed {} results, {} files ({}), {} trees, {} runs; {} left\n",
                done.results,
                done.blobs,
                bytes(done.bytes),
                done.trees,
                done.runs,
                bytes(done.left_bytes)
            )
            .as_bytes(),
        ),
    };
    Ok(terminal::conclude(printed, 0))
}
