//! `skep worker`: the lifecycle, inputs, transcript, grants and files of workers.

mod compiling;
mod create;
mod details;
pub(crate) mod entry_line;
mod files;
mod follow;
mod fork;
mod grants;
mod http_flags;
mod inputs;
mod list;
mod send;
mod several;
mod state;
mod view;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use skep_client::Client;
use skep_protocol::{Error, WorkerId, WorkerView, Workers};

use crate::connect::talk;
use crate::failure::Failed;
use details::{DiagnosticsArgs, OneWorkerArgs, UsageArgs};
use follow::EntrySelection;
pub(crate) use send::SendArgs;
use several::{LabelArgs, SeveralArgs, WorkerAction};

/// Create, feed, watch, change and remove workers. WORKER is an id, RUNTIME/ID, or a name that only
/// one worker has
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep worker create counter.wasm --name tally
  skep worker send tally add 1
  skep worker logs -f tally
  skep worker stop tally && skep worker start tally
  skep worker stop --filter env=test
  skep worker update tally --component counter2.wasm && skep worker rollback tally
  skep worker fork tally --name trial --component counter2.wasm
  skep worker grant tally --http https://api.example.com
  skep worker rm tally")]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    command: WorkerCommand,
}

#[derive(Subcommand)]
enum WorkerCommand {
    /// Create a worker from a component: a file, or the digest of a stored one
    Create(Box<create::CreateArgs>),
    /// List the workers of all runtimes, or of the one that --runtime names
    List(list::ListArgs),
    /// Show a worker, its grants, and how to allow its recent denials
    Show(OneWorkerArgs),
    /// Show a worker's resource usage
    Usage(UsageArgs),
    /// Show the diagnostics of a worker, or those of all runtimes
    Diagnostics(DiagnosticsArgs),
    /// Show the keys and values that a worker keeps
    State(state::StateArgs),
    /// List the queued and recent inputs of a worker
    Inputs(inputs::InputsArgs),
    /// Copy a worker between two of its turns, without its grants
    Fork(fork::ForkArgs),
    /// Send a worker an input and wait for the outcome
    Send(SendArgs),
    /// Start stopped or failed workers again
    Start(SeveralArgs),
    /// Stop workers: end their turns after a grace time and keep their queued inputs
    Stop(SeveralArgs),
    /// Add or replace labels of workers; their other labels stay
    Label(LabelArgs),
    /// Change a worker's component, config, name, labels or limits; takes effect between two turns
    Update(create::UpdateArgs),
    /// Grant directories, hosts and secrets to a worker; takes effect with its next turn
    Grant(grants::GrantArgs),
    /// Revoke grants of a worker
    Revoke(grants::RevokeArgs),
    /// Restore the component and config from before the last update
    Rollback(OneWorkerArgs),
    /// Remove workers with all their data; their ids are never reused
    Rm(SeveralArgs),
    /// Show a worker's stdout, stderr and denials
    Logs(follow::FollowArgs),
    /// Show a worker's whole transcript: inputs, events, output, outcomes
    Events(follow::FollowArgs),
    /// List, read and write the files in a worker's directory
    Files(files::FilesArgs),
}

/// Runs the subcommand and returns the exit code. `guest` holds the words of an input.
pub(crate) fn worker(arguments: WorkerArgs, guest: Vec<OsString>) -> u8 {
    match arguments.command {
        WorkerCommand::Create(arguments) => talk(arguments.output(), create::create(&arguments)),
        WorkerCommand::List(arguments) => talk(arguments.output(), list::list(&arguments)),
        WorkerCommand::Show(one) => talk(one.connect.output, details::show(&one)),
        WorkerCommand::Usage(arguments) => talk(arguments.output(), details::usage(&arguments)),
        WorkerCommand::Diagnostics(arguments) => {
            talk(arguments.output(), details::diagnostics(&arguments))
        }
        WorkerCommand::State(arguments) => talk(arguments.output(), state::state(&arguments)),
        WorkerCommand::Inputs(arguments) => talk(arguments.output(), inputs::inputs(&arguments)),
        WorkerCommand::Fork(arguments) => talk(arguments.output(), fork::fork(&arguments)),
        WorkerCommand::Label(labels) => talk(labels.output(), several::label(&labels)),
        WorkerCommand::Send(mut arguments) => {
            arguments.words = guest;
            talk(arguments.output(), send::send(&arguments))
        }
        WorkerCommand::Start(several) => {
            talk(several.output(), several::each(&several, WorkerAction::Start))
        }
        WorkerCommand::Stop(several) => {
            talk(several.output(), several::each(&several, WorkerAction::Stop))
        }
        WorkerCommand::Update(arguments) => talk(arguments.output(), create::update(&arguments)),
        WorkerCommand::Grant(arguments) => talk(arguments.output(), grants::grant(&arguments)),
        WorkerCommand::Revoke(arguments) => talk(arguments.output(), grants::revoke(&arguments)),
        WorkerCommand::Rollback(one) => talk(
            one.connect.output,
            change(&one, async |runtime, worker| runtime.rollback(worker).await),
        ),
        WorkerCommand::Rm(several) => {
            talk(several.output(), several::each(&several, WorkerAction::Remove))
        }
        WorkerCommand::Logs(arguments) => {
            talk(arguments.output(), follow::follow(&arguments, EntrySelection::Output))
        }
        WorkerCommand::Events(arguments) => {
            talk(arguments.output(), follow::follow(&arguments, EntrySelection::All))
        }
        WorkerCommand::Files(arguments) => talk(arguments.output(), files::files(arguments)),
    }
}

/// Changes a worker and shows it afterwards.
async fn change(
    one: &OneWorkerArgs,
    change: impl AsyncFnOnce(&Client, WorkerId) -> Result<WorkerView, Error>,
) -> Result<u8, Failed> {
    let (runtime, worker) = one.connect.connect()?.worker(&one.worker).await?;
    view::show(&change(&runtime, worker).await?, one.connect.output)?;
    Ok(0)
}
