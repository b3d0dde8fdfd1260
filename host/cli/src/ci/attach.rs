//! `skep ci attach`: continues a run whose process is gone.

use clap::Args;

use super::open::open_store;
use super::run::{self, CiRunArgs};
use crate::failure::Failed;
use crate::output::OutputFormat;

/// Continue a run whose process was killed: steps that have ended are not run again, and those that
/// a runtime still runs are followed
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci attach last
  skep ci attach 20261130t161207123-9c1f00")]
pub(super) struct CiAttachArgs {
    /// The run: its name, a beginning of it, or `last`
    #[arg(value_name = "RUN")]
    run: String,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

impl CiAttachArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.output
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn attach(arguments: &CiAttachArgs) -> Result<u8, Failed> {
    let store = open_store()?;
    let run = skep_ci::find_run(&store, &arguments.run).map_err(Failed::here)?;
    let cannot =
        |error: std::io::Error| Failed::here(format!("cannot read the run {run}: {error}"));
    if skep_ci::read_run(&store, &run).is_ok_and(|result| result.outcome.is_whole()) {
        let failed = Failed::here(format!("the run {run} has ended"));
        return Err(failed.hint(format!("skep ci logs {run} STEP shows what a step printed")));
    }
    let note = skep_ci::read_note(&store, &run).map_err(cannot)?;
    let Some(note) = note else {
        return Err(Failed::here(format!("the run {run} was not started by `skep ci run`")));
    };
    std::env::set_current_dir(&note.folder)
        .map_err(|error| Failed::here(format!("cannot enter {}: {error}", note.folder)))?;
    let mut again = CiRunArgs::from_words(&note.words)?;
    again.set_output(arguments.output);
    run::run(&again, Some(&run))
}
