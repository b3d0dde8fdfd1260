//! `skep ci logs`: what a step printed.

use clap::Args;
use skep_ci::{LogRecord, Store};

use super::open::open_store;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{json, terminal};

/// Maximum bytes of a line.
const MOST: u64 = 256 << 20;

/// Show what a step printed in a run
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci logs last unit
  skep ci logs 20261130t12 'cc[file=src/a.c]' --after 120 --output json

The output goes to standard output as the step wrote it, standard error included. With --output json,
each line is a record: seq, attempt, stream, offset, bytes, and text or base64. A step whose result
came from the cache has the output of the run that it came from.")]
pub(crate) struct CiLogsArgs {
    /// Run: a name, the beginning of one, or `last`
    #[arg(value_name = "RUN")]
    run: String,

    /// Id of the step
    #[arg(value_name = "STEP")]
    step: String,

    /// Only records after this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

impl CiLogsArgs {
    pub(super) fn output(&self) -> OutputFormat {
        self.output
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn logs(arguments: &CiLogsArgs) -> Result<u8, Failed> {
    let store = open_store()?;
    let run = skep_ci::find_run(&store, &arguments.run).map_err(Failed::here)?;
    let log = skep_ci::open_log(&store, &run, &arguments.step);
    let log = log.map_err(|error| Failed::here(format!("cannot read the log: {error}")))?;
    let records = match log {
        Some(file) => skep_ci::read_log(file, arguments.after)
            .map_err(|error| Failed::here(format!("cannot read the log: {error}")))?,
        // It came from the cache, or printed nothing.
        None => {
            let mut all = kept(&store, &run, &arguments.step)?;
            all.retain(|record| record.seq > arguments.after);
            all
        }
    };
    for record in &records {
        let printed = match arguments.output {
            OutputFormat::Json => terminal::print(&json::line(record)),
            OutputFormat::Text => match record.gap {
                Some(gap) => {
                    terminal::say("note", &format!("{gap} bytes were not kept"));
                    Ok(())
                }
                None => terminal::print_guest(&[record.content(), b"\n".to_vec()].concat()),
            },
        };
        printed?;
    }
    Ok(0)
}

/// Returns the streams that a result keeps, as records.
fn kept(store: &Store, run: &str, step: &str) -> Result<Vec<LogRecord>, Failed> {
    let result = skep_ci::read_run(store, run)
        .map_err(|_| Failed::here(format!("run {run} has no result, and no log of {step}")))?;
    let found = result.steps.iter().find(|result| result.id == step);
    let found = found.ok_or_else(|| {
        let failed = Failed::here(format!("run {run} has no step `{step}`"));
        match skep_ci::nearest(step, result.steps.iter().map(|it| it.id.as_str())) {
            Some(near) => failed.hint(format!("did you mean `{near}`?")),
            None => failed,
        }
    })?;
    let mut records = Vec::new();
    let read = skep_ci::kept_records(store, found, MOST, |record| {
        records.push(record);
        true
    });
    read.map_err(|error| Failed::here(format!("cannot read the log: {error}")))?;
    Ok(records)
}
