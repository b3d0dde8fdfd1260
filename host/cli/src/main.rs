//! `skep`: the command, and the only place where the parts are put together.
//!
//! Each subcommand parses its arguments, builds what it needs from the libraries, and turns the
//! result into text or JSON and an exit code. Access to the machine by name, paths and environment,
//! is obtained in `ambient` alone.

mod ambient;
// The build script's.
#[cfg(test)]
mod commit;
mod completions;
mod component;
mod connect;
mod doctor;
mod download;
mod exit;
mod failure;
mod filter;
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
mod signals;
mod source;
mod standard;
mod table;
mod temporary;
mod terminal;
mod token;
mod version;
mod words;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use standard::Standard;
use words::Words;

/// The hidden first argument that makes this program the compiling child.
const COMPILE: &str = "__compile";

/// The one that makes it a child that runs one guest.
const RUN: &str = "__run";

#[derive(Parser)]
#[command(
    name = "skep",
    version = version::text(),
    about = "Runs code that nobody trusts, in a WebAssembly sandbox.",
    after_help = "\
Examples:
  skep run hello.wasm one two           run a program; everything after it is its own
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
    let line: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = child(&line) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    ambient::keep_own_permissions();
    ambient::survive_file_size_limit();
    let Words { own, guest } = words::split(&Cli::command(), line);
    let code = match Cli::try_parse_from(own) {
        Ok(cli) => {
            logging::start();
            command(cli.command, guest)
        }
        Err(error) => usage(&error),
    };
    // A guest's thread may be stuck in a host call for ever, and dropping its runtime would wait
    // for it.
    std::process::exit(terminal::settle(code).into())
}

/// Runs this process as the child that its first argument makes it.
fn child(line: &[OsString]) -> Option<i32> {
    let child: fn(&[String]) -> i32 = match line.get(1)?.to_str()? {
        COMPILE => skep_sandbox::child_main,
        RUN => skep_sandbox::run_main,
        skep_sandbox::PROVE => skep_sandbox::prove,
        _ => return None,
    };
    let arguments = line[2..].iter().map(|word| word.to_string_lossy().into_owned());
    Some(child(&arguments.collect::<Vec<_>>()))
}

/// Shows what the parser says: help and the version, which were asked for, or an error.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render();
    let is_error = error.use_stderr();
    let stream = if is_error { Standard::Err } else { Standard::Out };
    let text = if stream.is_terminal() { text.ansi().to_string() } else { text.to_string() };
    let printed = match is_error {
        true => terminal::print_error(text.as_bytes()),
        false => terminal::print(text.as_bytes()),
    };
    terminal::conclude(printed, if is_error { exit::SKEP_FAILED } else { 0 })
}

/// Runs a command, with the words of the guest where it has one, and returns the exit code.
fn command(command: Command, guest: Vec<OsString>) -> u8 {
    match command {
        Command::Run(arguments) => run::run(*arguments, guest),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Up(arguments) => serve::up(&arguments),
        Command::Runtime(arguments) => serve::runtime(&arguments),
        Command::Worker(arguments) => worker::worker(*arguments, guest),
        Command::Component(arguments) => component::component(*arguments),
        Command::Runtimes(arguments) => runtimes::runtimes(&arguments),
        Command::Token(arguments) => token::token(arguments),
        Command::Remote(arguments) => remote::remote(arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
    }
}
