//! A run under the signals of this process: the first stops it, the second ends it at once.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use skep_ci::{Cancel, RunOutcome, RunResult};

use crate::signals::{Signals, StopRequest};
use crate::{exit, terminal};

/// The signal that stopped the run.
static STOPPED: OnceLock<StopRequest> = OnceLock::new();

/// Time that a stopped run gets to write its record.
const GRACE: Duration = Duration::from_secs(10);

/// Runs `work` on another thread while this one watches for signals.
pub(super) fn supervise(
    cancel: &Cancel,
    stop: &(dyn Fn() + Sync),
    work: impl FnOnce() -> io::Result<RunResult> + Send,
) -> io::Result<RunResult> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(sender.send(work())));
        runtime.block_on(async {
            let mut signals = Signals::take_over()?;
            let request = tokio::select! {
                ended = &mut receiver => return ended.map_err(io::Error::other)?,
                request = signals.next() => request,
            };
            let _ = STOPPED.set(request);
            cancel.cancel();
            stop();
            tokio::select! {
                ended = &mut receiver => ended.map_err(io::Error::other)?,
                _ = signals.next() => end(request),
                () = tokio::time::sleep(GRACE) => end(request),
            }
        })
    })
}

/// Returns the exit code of a run.
pub(super) fn exit_code(outcome: RunOutcome) -> u8 {
    match (STOPPED.get(), outcome) {
        (Some(request), _) => request.exit_code(),
        (None, RunOutcome::Passed) => 0,
        (None, RunOutcome::Failed) => exit::SERVICE_FAILED,
        (None, RunOutcome::Cancelled | RunOutcome::Running | RunOutcome::Interrupted) => {
            exit::INTERRUPTED
        }
    }
}

/// Ends the process while steps may still be blocked.
fn end(request: StopRequest) -> ! {
    std::process::exit(terminal::settle(request.exit_code()).into())
}
