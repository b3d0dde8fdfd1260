//! `skep run`: one run of one component, with streams, directories and limits, and an exit code.
//!
//! A run is prepared, loaded, given its input, run and concluded, in this order. Anything that may
//! block, such as reading a component from a pipe or printing to a reader that stopped reading,
//! runs on a thread of its own while the run watches its deadline and the signals. Such threads may
//! never return, so the process ends by exiting.

mod archive;
mod archive_link;
mod args;
mod backtrace;
mod cargo;
mod conclude;
pub(crate) mod dirs;
pub(crate) mod env;
mod env_arg;
pub(crate) mod explain;
mod file_arg;
mod guest;
mod guest_args;
mod isolate;
mod isolate_arg;
pub(crate) mod limits;
mod load;
mod memory_turn;
mod millis;
mod mount;
mod out;
mod out_arg;
pub(crate) mod prepare;
mod report_file;
mod streams;
mod watch;

use std::ffi::OsString;
use std::time::{Duration, Instant};

pub(crate) use args::RunArgs;
use conclude::{Conclusion, RunStyle};
use explain::Explained;
use guest::LoadedGuest;
pub(crate) use guest_args::GuestArgs;
use prepare::PreparedRun;
use report_file::ReportFile;
use skep_protocol::ComponentKind;
use streams::Streams;
use watch::{Interrupted, Watch};

use crate::exit;

/// Minimum time to print the result, even if the deadline passes earlier.
const PRINT_GRACE: Duration = Duration::from_secs(1);

/// Runs the subcommand and returns the exit code. `guest` holds the guest's arguments.
pub(crate) fn run(mut arguments: RunArgs, guest: Vec<OsString>) -> u8 {
    arguments.args = guest;
    let style = RunStyle::of(&arguments);
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run_to_end(arguments));
            // Its blocking threads may never return.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            let explained = Explained::error(format!("failed to start: {error}"));
            conclude::show(style, None, explained.into())
        }
    }
}

/// Runs from the preparation to the printed result, and returns the exit code.
async fn run_to_end(mut arguments: RunArgs) -> u8 {
    let style = RunStyle::of(&arguments);
    let file = match arguments.report.as_deref().map(ReportFile::open).transpose() {
        Ok(file) => file,
        Err(message) => return conclude::show(style, None, Explained::error(message).into()),
    };
    let began = limits::of(&mut arguments).and_then(|limits| {
        let watch = Watch::begin(arguments.timeout);
        Ok((limits, watch.map_err(|error| format!("cannot watch for signals: {error}"))?))
    });
    let (limits, mut watch) = match began {
        Ok(began) => began,
        Err(message) => return conclude::show(style, file, Explained::error(message).into()),
    };
    let mut deadline = watch.deadline();
    let conclusion = match PreparedRun::prepare(arguments, limits, &mut watch).await {
        Err(explained) => explained.into(),
        Ok(mut run) => {
            let mut conclusion = drive(&mut run, &mut watch, &mut deadline).await;
            conclusion.report = std::mem::take(&mut run.report);
            run.dirs.collect_out(conclusion, &mut watch).await
        }
    };
    // A reader that stopped reading would block the printing forever.
    let patience = deadline.map(|deadline| deadline.max(Instant::now() + PRINT_GRACE));
    let code = conclusion.explained.exit_code;
    let show = move || conclude::show(style, file, conclusion);
    let shown = watch.over_blocking(patience, show).await;
    match shown {
        Ok(code) => code,
        Err(Interrupted::Stopped(request)) => request.exit_code(),
        Err(Interrupted::Late) if code == 0 => exit::DEADLINE,
        Err(Interrupted::Late) => code,
    }
}

/// Loads the component, reads its input and runs the guest. Sets `deadline` to that of the guest:
/// compiling does not count.
async fn drive(
    run: &mut PreparedRun,
    watch: &mut Watch,
    deadline: &mut Option<Instant>,
) -> Conclusion {
    let loaded = match watch.over(None, load::load(run)).await {
        Err(reason) => return Explained::interrupted(reason, &run.limits).into(),
        Ok(Err(error)) => return explain::not_loaded(&error).into(),
        Ok(Ok(loaded)) => loaded,
    };
    if loaded.kind == ComponentKind::Http {
        return Explained::not_a_program().into();
    }
    run.report.component = Some(loaded.shape.digest);
    run.report.kind = Some(loaded.kind);
    let _record = load::register(run, &loaded);
    let runner = match isolate::decide(run, &loaded) {
        Ok(runner) => runner,
        Err(message) => return Explained::not_isolated(message).into(),
    };
    *deadline = watch.deadline();
    let input = match run.input(loaded.kind, watch, *deadline).await {
        Ok(input) => input,
        Err(explained) => return explained.into(),
    };
    let (kind, arguments) = (loaded.kind, run.arguments.clone());
    let log_bytes = run.limits.log_bytes_per_turn;
    // A FIFO that is standard input may have no writer yet.
    let connect = move || Streams::connect(kind, &arguments, log_bytes);
    let streams = match watch.over_blocking(*deadline, connect).await {
        Err(reason) => return Explained::interrupted(reason, &run.limits).into(),
        Ok(Err(message)) => return Explained::error(message).into(),
        Ok(Ok(streams)) => streams,
    };
    guest::run(run, LoadedGuest { loaded, runner, streams, input }, watch, *deadline).await
}
