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

The last 20 runs are always kept. A run that brings the cache above 10 GiB, or above
SKEP_CI_CACHE_SIZE, removes what was not used for longest.")]
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

/// Removes what was not used for longest after a run that stored these bytes, if the cache is too
/// large.
pub(super) fn gc_after_run(stored: u64) {
    const MOST: u64 = 10 << 30;
    let named = std::env::var("SKEP_CI_CACHE_SIZE").ok().filter(|text| !text.is_empty());
    let most = match named.map(|text| quantity::bytes(&text)) {
        None => MOST,
        Some(Ok(most)) => most,
        Some(Err(error)) => {
            let message = format!("SKEP_CI_CACHE_SIZE: {error}; the cache was not looked at");
            return terminal::say("note", &message);
        }
    };
    let done = ambient::ci_cache().and_then(|root| skep_ci::gc_above(root, stored, most));
    match done {
        Ok(None) => {}
        Ok(Some(done)) => {
            let (most, removed) = (bytes(most), bytes(done.bytes));
            let message = format!("the cache was above {most}; removed {removed} of old results");
            terminal::say("note", &message);
        }
        Err(error) => terminal::say("note", &format!("cannot clean the cache: {error}")),
    }
}
