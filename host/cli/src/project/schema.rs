//! `skep schema`: the JSON Schemas of files that authors write.

use clap::{Args, Subcommand};

use crate::{json, terminal};

/// Print the JSON Schema of a file that you write
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep schema worker > skep-worker.schema.json
  skep schema test > skep-test.schema.json")]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    file: SchemaOf,
}

#[derive(Clone, Copy, Subcommand)]
enum SchemaOf {
    /// skep-worker.toml, the manifest of a project
    Worker,
    /// skep-ci.toml, a pipeline
    Ci,
    /// The result of `skep ci run --output json`
    CiResult,
    /// tests/*.json, the test turns of a project
    Test,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn schema(arguments: &SchemaArgs) -> u8 {
    let schema = match arguments.file {
        SchemaOf::Worker => skep_project::schema(),
        SchemaOf::Ci => skep_ci::schema(),
        SchemaOf::CiResult => skep_ci::result_schema(),
        SchemaOf::Test => skep_project::test_schema(),
    };
    terminal::conclude(terminal::print(&json::line(&schema)), 0)
}
