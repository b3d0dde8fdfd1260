//! `skep ci provenance`: a statement about what a run made, and the outputs themselves.

use std::path::PathBuf;

use clap::Args;
use skep_ci::RunOutcome;

use super::open::open_store;
use super::outputs::write_outputs;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::terminal;

/// The builder, unless it is named.
const BUILDER: &str = "https://skep.dev/local";

/// Print the provenance of a run's outputs
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci provenance last
  skep ci provenance last --key key.pem --builder https://ci.example.org > provenance.json

The result is an in-toto statement with the predicate SLSA provenance v1. With --key it is in a DSSE
envelope. Make a key with `openssl genpkey -algorithm ed25519 -out key.pem`.")]
pub(crate) struct CiProvenanceArgs {
    /// Run: a name, the beginning of one, or `last`
    #[arg(value_name = "RUN")]
    run: String,

    /// Sign with this Ed25519 key (PKCS#8, PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Id of the builder: an address that names who vouches for this machine
    #[arg(long, value_name = "URI", default_value = BUILDER)]
    builder: String,

    /// Write the run's outputs to this directory too, one folder each step
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl CiProvenanceArgs {
    /// Returns the format of an error: standard output is for the statement.
    pub(super) fn output(&self) -> OutputFormat {
        OutputFormat::Text
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn provenance(arguments: &CiProvenanceArgs) -> Result<u8, Failed> {
    let store = open_store()?;
    let run = skep_ci::find_run(&store, &arguments.run).map_err(Failed::here)?;
    let result = skep_ci::read_run(&store, &run)
        .map_err(|_| Failed::here(format!("run {run} has no result; it was stopped")))?;
    if !result.outcome.is_whole() {
        let why = match result.outcome {
            RunOutcome::Running => "it has not ended",
            _ => "it was interrupted",
        };
        return Err(Failed::here(format!("run {run} has no result; {why}")));
    }
    let mut text = skep_ci::statement(&result, &arguments.builder);
    if let Some(path) = &arguments.key {
        let pem = std::fs::read_to_string(path)
            .map_err(|error| Failed::here(format!("cannot read {}: {error}", path.display())))?;
        text = skep_ci::sign(&text, &pem).map_err(|error| {
            Failed::here(format!("cannot sign with {}: {error}", path.display()))
        })?;
    }
    if let Some(path) = &arguments.out {
        write_outputs(&store, &result, path)?;
    }
    text.push(b'\n');
    Ok(terminal::conclude(terminal::print(&text), 0))
}
