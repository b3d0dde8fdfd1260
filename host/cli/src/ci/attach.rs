//! `skep ci attach`: continues a run whose process is gone.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

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

/// What a run was started with.
#[derive(Serialize, Deserialize)]
pub(super) struct RunNote {
    folder: PathBuf,
    words: Vec<String>,
}

impl RunNote {
    /// Returns the note of the `skep ci run` that this process is, as JSON.
    pub(super) fn of_this_process() -> Result<Vec<u8>, Failed> {
        // Flags of `skep` itself may stand before them.
        let own = std::env::args_os().skip_while(|word| word != "ci");
        let words = own
            .skip_while(|word| word != "run")
            .skip(1)
            .map(|word| word.into_string().map_err(|_| Failed::here("an argument is not UTF-8")));
        let words = words.collect::<Result<_, _>>()?;
        let note = Self { folder: std::env::current_dir()?, words };
        serde_json::to_vec(&note).map_err(|error| Failed::here(error.to_string()))
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
    let note: Option<RunNote> = note.and_then(|note| serde_json::from_slice(&note).ok());
    let Some(note) = note else {
        return Err(Failed::here(format!("the run {run} was not started by `skep ci run`")));
    };
    std::env::set_current_dir(&note.folder).map_err(|error| {
        Failed::here(format!("cannot enter {}: {error}", note.folder.display()))
    })?;
    let mut again = CiRunArgs::from_words(&note.words)?;
    again.set_output(arguments.output);
    run::run(&again, Some(&run))
}
