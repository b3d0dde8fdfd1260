//! `skep`: the command, and the composition root of all other crates.
//!
//! Each subcommand parses its arguments, builds the parts it needs from the libraries, and turns
//! the result into text or JSON and an exit code. Only `ambient` opens paths with ambient
//! authority.

mod ambient;
mod audit;
mod child;
mod ci;
mod clock;
mod command_line;
// Compiled here only for its tests; the build script uses it.
#[cfg(test)]
mod commit;
mod completions;
mod component;
mod connect;
mod doctor;
mod download;
mod exit;
mod explain;
mod failure;
mod filter;
mod fleet;
mod fleet_file;
mod host_file;
mod host_threads;
mod hosting;
mod inspect;
mod json;
mod key_value;
mod limit_arg;
mod limits;
mod locked;
mod logging;
mod output;
mod project;
mod registrar;
mod remote;
mod report;
mod route;
mod run;
mod running;
mod runtimes;
mod secret;
mod serve;
mod session;
mod settings;
mod signals;
mod site_setting;
mod source;
mod standard;
mod table;
mod temporary;
mod terminal;
mod token;
mod version;
mod whoami;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use command_line::{CommandLine, WithGuest};
use standard::Standard;

#[derive(Parser)]
#[command(
    name = "skep",
    version = version::text(),
    about = "Run untrusted code in a WebAssembly sandbox",
    after_help = "\
Examples:
  skep run hello.wasm one two           run a program once; all words after it are its arguments
  skep serve site.wasm                  serve an HTTP component until Ctrl-C
  skep ci run                           run a pipeline of sandboxed steps, cached by content
  skep inspect hello.wasm               show a component's imports, exports and limits
  skep up                               host durable workers, with an API for browsers
  skep worker create counter.wasm       create a worker on the local host
  skep worker send WORKER add 1         send it an input and wait for the outcome
  skep new tally --lang js              make a project for a worker of your own, then skep dev
  skep doctor                           check that this machine can host workers

Set SKEP_LOG to info, debug or a filter such as skep_runtime=trace to log more, and
SKEP_LOG_FORMAT=json to log JSON."
)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

// Arguments are defined when their command is parsed. Defining all of them takes longer than a short
// guest runs.
#[derive(Subcommand)]
#[command(defer = true)]
enum CliCommand {
    Run(Box<run::RunArgs>),
    Serve(Box<serve::ServeArgs>),
    Ci(ci::CiArgs),
    Inspect(inspect::InspectArgs),
    Up(hosting::UpArgs),
    Runtime(hosting::RuntimeArgs),
    Worker(Box<worker::WorkerArgs>),
    Component(Box<component::ComponentArgs>),
    Runtimes(runtimes::RuntimesArgs),
    Limits(limits::LimitsArgs),
    Route(route::RouteArgs),
    Token(token::TokenArgs),
    Session(session::SessionArgs),
    Audit(audit::AuditArgs),
    Whoami(whoami::WhoamiArgs),
    Remote(remote::RemoteArgs),
    Fleet(fleet::FleetArgs),
    Doctor(doctor::DoctorArgs),
    New(project::NewArgs),
    Build(project::BuildArgs),
    Dev(project::DevArgs),
    Test(project::TestArgs),
    Explain(explain::ExplainArgs),
    Schema(project::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// The subcommands that have a guest.
const WITH_GUEST: &[WithGuest] = &[
    WithGuest { path: &["run"], define: run::RunArgs::augment_args },
    WithGuest { path: &["serve"], define: serve::ServeArgs::augment_args },
    WithGuest { path: &["worker", "send"], define: worker::SendArgs::augment_args },
    WithGuest { path: &["ci", "hook"], define: ci::CiHookArgs::augment_args },
];

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = child::run(&line) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    ambient::keep_own_permissions();
    ambient::survive_file_size_limit();
    let CommandLine { own, guest } = command_line::split(WITH_GUEST, line);
    let mut command = Cli::command();
    let is_help = |word: &OsString| ["help", "--help", "-h"].iter().any(|help| word == help);
    if own.get(1).is_none_or(is_help) {
        // The descriptions that help lists are defined with the arguments.
        command.build();
    }
    let parsed = command.try_get_matches_from_mut(own);
    let parsed = parsed.and_then(|mut found| Cli::from_arg_matches_mut(&mut found));
    let code = match parsed.map_err(|error| error.format(&mut command)) {
        Ok(cli) => {
            logging::start();
            run_command(cli.command, guest)
        }
        Err(error) => show_usage(&error),
    };
    // Exit without dropping anything: a guest's thread may be blocked in a host call forever, and
    // dropping its runtime would wait for it.
    std::process::exit(terminal::settle(code).into())
}

/// Prints the parser's output and returns the exit code: 0 for requested help or the version, and
/// otherwise that of an error.
fn show_usage(error: &clap::Error) -> u8 {
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

/// Runs a command and returns the exit code. `guest` holds the words of a command that has a guest.
fn run_command(command: CliCommand, guest: Vec<OsString>) -> u8 {
    match command {
        CliCommand::Run(arguments) => run::run(*arguments, guest),
        CliCommand::Serve(arguments) => serve::serve(*arguments, guest),
        CliCommand::Ci(arguments) => ci::ci(arguments, guest),
        CliCommand::Inspect(arguments) => inspect::inspect(&arguments),
        CliCommand::Up(arguments) => hosting::up(&arguments),
        CliCommand::Runtime(arguments) => hosting::runtime(&arguments),
        CliCommand::Worker(arguments) => worker::worker(*arguments, guest),
        CliCommand::Component(arguments) => component::component(*arguments),
        CliCommand::Runtimes(arguments) => runtimes::runtimes(&arguments),
        CliCommand::Limits(arguments) => limits::limits(&arguments),
        CliCommand::Route(arguments) => route::route(&arguments),
        CliCommand::Token(arguments) => token::token(arguments),
        CliCommand::Session(arguments) => session::session(&arguments),
        CliCommand::Audit(arguments) => audit::audit(&arguments),
        CliCommand::Whoami(arguments) => whoami::whoami(&arguments),
        CliCommand::Remote(arguments) => remote::remote(arguments),
        CliCommand::Fleet(arguments) => fleet::fleet(&arguments),
        CliCommand::Doctor(arguments) => doctor::doctor(&arguments),
        CliCommand::New(arguments) => project::new(&arguments),
        CliCommand::Build(arguments) => project::build(&arguments),
        CliCommand::Dev(arguments) => project::dev(&arguments),
        CliCommand::Test(arguments) => project::test(&arguments),
        CliCommand::Explain(arguments) => explain::explain(&arguments),
        CliCommand::Schema(arguments) => project::schema(&arguments),
        CliCommand::Completions(arguments) => {
            completions::completions(&arguments, &mut Cli::command())
        }
    }
}
