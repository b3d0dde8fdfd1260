//! The mapping from a guest's end to the recorded outcome of its turn.

use skep_protocol::text::neutral;
use skep_protocol::{Ending, LimitName, Limits, Outcome, Output, RunOutput, TurnError};

use skep_sandbox::{Crash, Ended, Frame, stdio};

/// The captured streams of a command.
pub(crate) struct Captured {
    pub(crate) stdout: stdio::GuestOutput,
    pub(crate) stderr: stdio::GuestOutput,
}

impl Captured {
    fn output(&self, exit_code: Option<u8>) -> Output {
        let (stdout, stderr) = (self.stdout.contents(), self.stderr.contents());
        let kept = (stdout.len() + stderr.len()) as u64;
        let truncated = self.stdout.total() + self.stderr.total() > kept;
        Output::Run(RunOutput { exit_code, stdout, stderr, truncated })
    }
}

/// Returns the outcome of a turn that ended in this way.
pub(crate) fn outcome(ended: Ended, captured: Option<&Captured>, limits: &Limits) -> Outcome {
    let run = |code| captured.map(|captured| captured.output(code));
    let error = |code: &str, message: String| TurnError {
        code: code.to_owned(),
        message,
        limit: None,
        frames: Vec::new(),
        stderr: Vec::new(),
    };
    // A command's output has all of it.
    let with_crash = |error: TurnError, crash: Crash| match captured {
        Some(_) => with_crash(error, Crash { stderr: Vec::new(), ..crash }),
        None => with_crash(error, crash),
    };
    let (ending, output, error) = match ended {
        Ended::Answered(payload) => (Ending::Completed, Some(Output::Message(payload)), None),
        Ended::Exited(code) if captured.is_some() => (Ending::Completed, run(Some(code)), None),
        Ended::Exited(code) => {
            let message = format!("the guest exited with {code}");
            (Ending::Trapped, None, Some(error("exited", message)))
        }
        // A service that exits leaves its caller without a response.
        Ended::ServiceExited { code, crash } => {
            let message = format!("the worker exited with {code} instead of answering");
            (Ending::Trapped, None, Some(with_crash(error("exited", message), crash)))
        }
        Ended::Failed { failure, limit } => {
            let error = TurnError { limit, ..error(&failure.code, failure.message) };
            (Ending::Failed, None, Some(error))
        }
        Ended::Trapped(crash) => {
            let message = format!("the guest crashed: {}", crash.message);
            let error = with_crash(error("trapped", message), crash);
            (Ending::Trapped, run(None), Some(error))
        }
        Ended::Limit { name, crash, exit_code } => {
            let mut error = limit_error(name, limits);
            if let Some(code) = exit_code.filter(|_| captured.is_none()) {
                error.message += &format!("; the worker exited with {code} instead of answering");
            }
            let error = match crash {
                Some(crash) => with_crash(error, crash),
                None => error,
            };
            (Ending::Limit, run(exit_code), Some(error))
        }
        Ended::Deadline => {
            let limit = LimitName::turn_deadline_ms;
            let shown = limit.unit().show(limits.turn_deadline_ms);
            let mut error = error("deadline", format!("the turn took longer than {shown}"));
            error.limit = Some(limit);
            (Ending::Deadline, run(None), Some(error))
        }
        Ended::Cancelled => {
            let error = error("cancelled", "the turn was cancelled".into());
            (Ending::Cancelled, run(None), Some(error))
        }
        Ended::HostFault(what) => {
            tracing::error!(fault = %neutral(&what), "a turn ended with a host fault");
            // The message describes host internals, so only the log has it.
            let error = error("host_fault", "the host failed; see its log".into());
            (Ending::HostFault, run(None), Some(error))
        }
    };
    Outcome { ending, output, error }
}

/// Returns the outcome of an input that exceeded a limit without running.
pub(crate) fn over_limit(name: LimitName, limits: &Limits) -> Outcome {
    Outcome { ending: Ending::Limit, output: None, error: Some(limit_error(name, limits)) }
}

/// Returns the outcome of an input that was cancelled before its turn.
pub(crate) fn cancelled() -> Outcome {
    let error = TurnError {
        code: "cancelled".into(),
        message: "the input was cancelled before its turn".into(),
        limit: None,
        frames: Vec::new(),
        stderr: Vec::new(),
    };
    Outcome { ending: Ending::Cancelled, output: None, error: Some(error) }
}

fn limit_error(name: LimitName, limits: &Limits) -> TurnError {
    TurnError {
        code: "limit".into(),
        message: format!(
            "exceeded {name} ({}): {}",
            name.unit().show(limits.get(name)),
            name.why()
        ),
        limit: Some(name),
        frames: Vec::new(),
        stderr: Vec::new(),
    }
}

fn with_crash(mut error: TurnError, crash: Crash) -> TurnError {
    let frame = |frame: Frame| {
        let source = frame.source.map_or_else(String::new, |source| format!(" ({source})"));
        neutral(&format!("{}{source}", frame.function)).to_string()
    };
    error.frames = crash.frames.into_iter().map(frame).collect();
    error.stderr = crash.stderr.iter().map(|line| neutral(line).to_string()).collect();
    error
}
