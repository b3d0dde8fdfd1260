//! `skep new`: a project from an embedded example.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use skep_project::{Kind, Language};

use super::report::NewReport;
use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::{json, terminal};

/// Make a project for a worker from an example; works offline
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep new tally --lang js && cd tally && skep dev
  skep new tally --lang python
  skep new greet --lang rust --kind command
  skep new site --lang js --kind web

Then: skep dev   skep test   skep build")]
pub(crate) struct NewArgs {
    /// Folder to make; its last part is the worker's name
    folder: PathBuf,

    /// Language
    #[arg(long, value_enum, value_name = "LANG")]
    lang: LanguageWord,

    /// Kind of worker
    #[arg(long, value_enum, value_name = "KIND", default_value = "service")]
    kind: KindWord,

    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

/// A language on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LanguageWord {
    Rust,
    #[value(alias = "javascript", alias = "ts", alias = "typescript")]
    Js,
    #[value(alias = "py")]
    Python,
    C,
}

impl From<LanguageWord> for Language {
    fn from(word: LanguageWord) -> Self {
        match word {
            LanguageWord::Rust => Self::Rust,
            LanguageWord::Js => Self::Js,
            LanguageWord::Python => Self::Python,
            LanguageWord::C => Self::C,
        }
    }
}

/// A kind of worker on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindWord {
    /// Handles inputs one by one and keeps state
    Service,
    /// A program with arguments and an exit code
    Command,
    /// Handles HTTP requests
    Web,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn new(arguments: &NewArgs) -> u8 {
    make(arguments).map_or_else(|failed| failed.show(arguments.output), |()| 0)
}

fn make(arguments: &NewArgs) -> Result<(), Failed> {
    let folder = std::path::absolute(&arguments.folder)?;
    let kind = match arguments.kind {
        KindWord::Service => Kind::Service,
        KindWord::Command => Kind::Command,
        KindWord::Web => Kind::Web,
    };
    let files = skep_project::scaffold(&folder, arguments.lang.into(), kind)?;
    let shown = arguments.folder.display().to_string();
    match arguments.output {
        OutputFormat::Json => terminal::print(&json::line(&NewReport { folder: shown, files }))?,
        OutputFormat::Text => {
            terminal::say("made", &format!("{shown} ({} files)", files.len()));
            terminal::say("next", &format!("cd {shown} && skep dev"));
        }
    }
    Ok(())
}
