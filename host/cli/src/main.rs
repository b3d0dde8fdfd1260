//! `skep`: the command, and the only place where the parts are put together.
//!
//! Each subcommand parses its arguments, builds what it needs from the libraries, and turns the
//! result into text or JSON and an exit code. Access to the machine by name, paths and environment,
//! is obtained in `ambient` alone.

mod ambient;
mod exit;
mod inspect;
mod json;
mod logging;
mod quantity;
mod report;
mod run;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// The hidden first argument that makes this program the compiling child.
const COMPILE: &str = "__compile";

#[derive(Parser)]
#[command(
    name = "skep",
    version,
    about = "Runs code that nobody trusts, in a WebAssembly sandbox.",
    after_help = "\
Examples:
  skep run hello.wasm -- one two        run a program; everything after it is its own
  skep inspect hello.wasm               what a component is, wants and is held to

Log with SKEP_LOG=info (or debug, or skep_runtime=trace); SKEP_LOG_FORMAT=json for machines."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Inspect(inspect::InspectArgs),
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people.
    Text,
    /// One JSON object on standard output.
    Json,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(COMPILE) {
        let code = skep_runtime::child_main(&arguments.collect::<Vec<_>>());
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing to be done if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::SKEP_FAILED } else { 0 });
        }
    };
    logging::start();
    let code = match cli.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
    };
    // A guest's thread may be stuck in a host call for ever, and dropping its runtime would wait
    // for it.
    std::process::exit(code.into())
}
