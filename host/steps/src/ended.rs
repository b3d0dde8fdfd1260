//! The end of a guest, or of loading it, in the words of a step.

use skep_ci::{Executed, StepOutcome};
use skep_protocol::Limits;
use skep_protocol::text::neutral;
use skep_sandbox::{Ended, LoadError};

/// Tells a program that cannot run from a fault of this machine.
pub(crate) fn load_outcome(error: &LoadError) -> StepOutcome {
    use skep_sandbox::CompileError::{Crashed, Invalid, Io, Limit, Misfit, Shortage, Unoffered};
    match error {
        LoadError::Refused(_)
        | LoadError::Compile(Misfit(_) | Unoffered(_) | Invalid(_) | Crashed(_) | Limit { .. }) => {
            StepOutcome::Refused
        }
        LoadError::Compile(Io(_) | Shortage(_)) | LoadError::Shortage(_) | LoadError::Engine(_) => {
            StepOutcome::HostFault
        }
    }
}

/// Turns the end of a guest into that of a step.
pub(crate) fn ended(ended: &Ended, limits: &Limits) -> Executed {
    let with = |outcome, message: String| Executed::not_run(outcome, message);
    match ended {
        Ended::Exited(code) => Executed {
            exit_code: Some(*code),
            message: None,
            ..with(StepOutcome::Exited, String::new())
        },
        Ended::Trapped(crash) => {
            let place = crash.frames.first().map(|frame| format!(" in {}", frame.function));
            let message = format!("trapped: {}{}", crash.message, place.unwrap_or_default());
            with(StepOutcome::Trapped, neutral(&message).to_string())
        }
        Ended::Limit { name, exit_code, .. } => {
            let value = name.unit().show(limits.get(*name));
            Executed {
                exit_code: *exit_code,
                limits_met: vec![name.as_str().to_owned()],
                ..with(StepOutcome::Limit, format!("reached its limit {name} ({value})"))
            }
        }
        Ended::Deadline => {
            let value = skep_protocol::Unit::Millis.show(limits.turn_deadline_ms);
            with(StepOutcome::Deadline, format!("stopped at its deadline of {value}"))
        }
        Ended::Cancelled => with(StepOutcome::Cancelled, "the run was stopped".into()),
        Ended::HostFault(why) => with(StepOutcome::HostFault, neutral(why).to_string()),
        Ended::Answered(_) | Ended::Failed { .. } | Ended::ServiceExited { .. } => {
            with(StepOutcome::Refused, "it is a service; a step runs commands".into())
        }
    }
}
