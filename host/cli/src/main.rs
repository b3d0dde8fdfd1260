//! `skep`: the command, and the only place where the parts are put together.
//!
//! Each subcommand parses its arguments, builds what it needs from the libraries, and turns the
//! result into text or JSON and an exit code. Access to the machine by name, paths and environment,
//! is obtained in `ambient` alone.

mod ambient;
mod completions;
mod component;
mod connect;
mod doctor;
mod exit;
mod failure;
mod inspect;
mod json;
mod logging;
mod quantity;
mod remote;
mod report;
mod run;
mod running;
mod runtimes;
mod secret;
mod serve;
mod settings;
mod table;
mod temporary;
mod terminal;
mod token;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// The hidden first argument that makes this program the compiling child.
const COMPILE: &str = "__compile";

/// The one that makes it a child that runs one guest.
const RUN: &str = "__run";

#[derive(Parser)]
#[command(
    name = "skep",
    version,
    about = "Runs code that nobody trusts, in a WebAssembly sandbox.",
    after_help = "\
Examples:
  skep run hello.wasm -- one two        run a program; everything after it is its own
  skep inspect hello.wasm               what a component is, wants and is held to
  skep up                               host workers that last, with an API for browsers
  skep worker create counter.wasm       make one on the host that runs here
  skep worker send WORKER add 1         give it something to do
  skep doctor                           whether this machine has what it takes

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
    Up(serve::UpArgs),
    Runtime(serve::RuntimeArgs),
    Worker(Box<worker::WorkerArgs>),
    Component(Box<component::ComponentArgs>),
    Runtimes(runtimes::RuntimesArgs),
    Token(token::TokenArgs),
    Remote(remote::RemoteArgs),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people.
    #[value(alias = "table")]
    Text,
    /// One JSON object on standard output.
    Json,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let child: Option<fn(&[String]) -> i32> = match arguments.next().as_deref() {
        Some(COMPILE) => Some(skep_runtime::child_main),
        Some(RUN) => Some(skep_runtime::run_main),
        Some(skep_runtime::PROVE) => Some(skep_runtime::prove),
        _ => None,
    };
    if let Some(child) = child {
        let code = child(&arguments.collect::<Vec<_>>());
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
        Command::Up(arguments) => serve::up(&arguments),
        Command::Runtime(arguments) => serve::runtime(&arguments),
        Command::Worker(arguments) => worker::worker(*arguments),
        Command::Component(arguments) => component::component(*arguments),
        Command::Runtimes(arguments) => runtimes::runtimes(&arguments),
        Command::Token(arguments) => token::token(arguments),
        Command::Remote(arguments) => remote::remote(arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
    };
    // A guest's thread may be stuck in a host call for ever, and dropping its runtime would wait
    // for it.
    std::process::exit(code.into())
}
