//! The end that a case had.

use std::fmt;

use skep_protocol::{Ending, Error, LimitName, Outcome, Output};

/// The end that a case had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The bytes were refused.
    Refused(String),
    /// A limit applied.
    Limit(LimitName),
    /// The guest trapped.
    Trap(String),
    /// The deadline passed.
    Deadline,
    /// The turn was cancelled.
    Killed,
    /// The guest got an error value and ended normally.
    Denied(String),
    /// The guest ended normally.
    Completed(String),
    /// An end that no case may have.
    Wrong(String),
}

impl End {
    /// Classifies the error of a request.
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::LimitExceeded { name, .. } | Error::MailboxFull { name, .. } => {
                Self::Limit(*name)
            }
            Error::ComponentRefused { reason } => {
                // For the limits counted before compiling, only the message has the name.
                let named = LimitName::ALL.iter().find(|name| {
                    reason.contains(&format!("limit {name}:"))
                        || reason.contains(&format!("more than {name} allows"))
                });
                named.map_or_else(|| Self::Refused(reason.clone()), |&name| Self::Limit(name))
            }
            other => Self::Wrong(format!("{other:?}")),
        }
    }

    /// Classifies the outcome of a turn.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        let error = outcome.error.as_ref();
        let message = error.map(|error| format!("{}: {}", error.code, error.message));
        match outcome.ending {
            Ending::Completed => Self::of_output(outcome.output.as_ref()),
            Ending::Trapped => Self::Trap(message.unwrap_or_default()),
            Ending::Deadline => Self::Deadline,
            Ending::Limit => match error.and_then(|error| error.limit) {
                Some(name) => Self::Limit(name),
                None => Self::Wrong("the ending is a limit, and none is named".into()),
            },
            Ending::Cancelled => Self::Killed,
            // A service refuses with a failure; the code is its own.
            Ending::Failed => match error {
                Some(error) if error.code == "denied" => Self::Denied(error.message.clone()),
                _ => Self::Wrong(message.unwrap_or_default()),
            },
            Ending::HostFault => Self::Wrong(message.unwrap_or_default()),
        }
    }

    fn of_output(output: Option<&Output>) -> Self {
        match output {
            Some(Output::Run(run)) => {
                let said = String::from_utf8_lossy(&run.stdout).into_owned();
                match (run.exit_code, said.strip_prefix("denied: ")) {
                    (Some(0), Some(what)) => Self::Denied(what.trim_end().into()),
                    (Some(0), None) => Self::Completed(said),
                    (code, _) => {
                        let err = String::from_utf8_lossy(&run.stderr);
                        Self::Wrong(format!("exit code {code:?}: {said} {err}"))
                    }
                }
            }
            Some(Output::Message(payload)) => {
                Self::Completed(String::from_utf8_lossy(&payload.body).into_owned())
            }
            None => Self::Wrong("it completed without an output".into()),
        }
    }
}

/// The short form for the summary.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("refused"),
            Self::Limit(name) => write!(f, "limit {name}"),
            Self::Trap(_) => f.write_str("trap"),
            Self::Deadline => f.write_str("deadline"),
            Self::Killed => f.write_str("killed"),
            Self::Denied(_) => f.write_str("denied"),
            Self::Completed(_) => f.write_str("completed"),
            Self::Wrong(_) => f.write_str("WRONG"),
        }
    }
}
