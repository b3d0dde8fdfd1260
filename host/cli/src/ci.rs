//! `skep ci`: pipelines of steps, each in the sandbox, cached by content.

mod attach;
mod explain;
mod fetch;
mod gc;
mod graph;
mod hook;
mod lock;
mod logs;
mod open;
mod options;
mod outputs;
mod paint;
mod plan_run;
mod provenance;
mod remote;
mod run;
pub(crate) mod sandbox;
mod show;
mod watch;

use std::ffi::OsString;

use clap::{Args, Subcommand};

pub(crate) use self::hook::CiHookArgs;

/// Run a pipeline of sandboxed steps: skep-ci.toml
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep ci run                            run all steps, those that changed and what depends on them
  skep ci run 'test.*' -j 4              run some steps and those that they need
  skep ci run --dry                      show keys, and which results are in the cache
  skep ci run --runtime builder          run the steps on a runtime of your host
  skep ci attach last                    continue a run whose process was killed
  skep ci explain unit                   say why a step ran and did not come from the cache
  skep ci logs last unit                 show what a step printed
  skep ci graph --format mermaid
  skep ci lock                           fill in missing checksums of tools
  skep schema ci > skep-ci.schema.json

The cache is in SKEP_CI_CACHE, or in skep/ci in the user's cache directory.

Exit codes: 0 all as expected, 1 a step failed, 2 the pipeline is refused, 125 Skep failed,
  130 Ctrl-C, 143 SIGTERM")]
pub(crate) struct CiArgs {
    #[command(subcommand)]
    command: CiCommand,
}

#[derive(Subcommand)]
enum CiCommand {
    Run(Box<run::CiRunArgs>),
    Attach(attach::CiAttachArgs),
    Explain(explain::CiExplainArgs),
    Graph(graph::CiGraphArgs),
    Logs(logs::CiLogsArgs),
    Lock(lock::CiLockArgs),
    Hook(CiHookArgs),
    Gc(gc::CiGcArgs),
    Provenance(provenance::CiProvenanceArgs),
}

/// Runs the subcommand and returns the exit code. `guest` holds the files of a hook.
pub(crate) fn ci(arguments: CiArgs, guest: Vec<OsString>) -> u8 {
    let (output, ended) = match arguments.command {
        CiCommand::Run(arguments) => (arguments.output(), run::run(&arguments, None)),
        CiCommand::Attach(arguments) => (arguments.output(), attach::attach(&arguments)),
        CiCommand::Explain(arguments) => (arguments.output(), explain::explain(&arguments)),
        CiCommand::Graph(arguments) => (arguments.output(), graph::graph(&arguments)),
        CiCommand::Logs(arguments) => (arguments.output(), logs::logs(&arguments)),
        CiCommand::Lock(arguments) => (arguments.output(), lock::lock(&arguments)),
        CiCommand::Hook(arguments) => (arguments.output(), hook::hook(&arguments, guest)),
        CiCommand::Gc(arguments) => (arguments.output(), gc::gc(&arguments)),
        CiCommand::Provenance(arguments) => {
            (arguments.output(), provenance::provenance(&arguments))
        }
    };
    ended.unwrap_or_else(|failed| failed.show(output))
}
