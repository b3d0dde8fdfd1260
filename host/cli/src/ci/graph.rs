//! `skep ci graph`: the steps and what each needs.

use clap::{Args, ValueEnum};
use skep_ci::GraphFormat;
use skep_protocol::text::neutral_lines;

use super::open::OpenPipeline;
use super::options::{PipelineFlags, select};
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::terminal;

/// Show the steps of a pipeline and their order
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci graph
  skep ci graph --format dot | dot -Tsvg > pipeline.svg
  skep ci graph link --format mermaid")]
pub(crate) struct CiGraphArgs {
    /// Steps, with those that they need: names or globs [default: all]
    #[arg(value_name = "STEP")]
    steps: Vec<String>,

    #[command(flatten)]
    pipeline: PipelineFlags,

    /// Format of the graph
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: GraphWord,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GraphWord {
    /// One line a step
    Text,
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
    /// JSON
    Json,
}

impl CiGraphArgs {
    pub(super) fn output(&self) -> OutputFormat {
        match self.format {
            GraphWord::Json => OutputFormat::Json,
            _ => OutputFormat::Text,
        }
    }
}

/// Runs the subcommand and returns the exit code.
pub(super) fn graph(arguments: &CiGraphArgs) -> Result<u8, Failed> {
    let pipeline = OpenPipeline::open(&arguments.pipeline)?;
    let plan = pipeline.plan(&OpenPipeline::options(&arguments.pipeline))?;
    let plan = select(plan, &arguments.steps)?;
    let format = match arguments.format {
        GraphWord::Text => GraphFormat::Text,
        GraphWord::Dot => GraphFormat::Dot,
        GraphWord::Mermaid => GraphFormat::Mermaid,
        GraphWord::Json => GraphFormat::Json,
    };
    let text = skep_ci::graph(&plan, format);
    let text = neutral_lines(&text).to_string();
    Ok(terminal::conclude(terminal::print(text.as_bytes()), 0))
}
