//! How a case ended, and how it had to.

use std::fmt;
use std::time::Duration;

use skep_protocol::{Ending, Error, LimitName, Outcome, Output};

/// How a case has to end. A text has to occur in what was said.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// The bytes were refused before anything ran, with this reason.
    Refused(&'static str),
    /// It was held to this limit: refused, ended or turned away.
    Limit(LimitName),
    /// It crashed by itself.
    Trap(&'static str),
    /// Its deadline passed.
    Deadline,
    /// It was cancelled.
    Killed,
    /// It was told no, as a value, and ended well with `denied: ` and this on standard output.
    Denied(&'static str),
    /// It ended well, with this on standard output or in its answer.
    Completed(&'static str),
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The bytes were refused.
    Refused(String),
    /// It was held to a limit.
    Limit(LimitName),
    /// It crashed.
    Trap(String),
    /// Its deadline passed.
    Deadline,
    /// It was cancelled.
    Killed,
    /// It ended well after it was told no.
    Denied(String),
    /// It ended well.
    Completed(String),
    /// It ended in a way that no case may end in.
    Wrong(String),
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How it ended.
    pub end: End,
    /// From the moment that it went too far to its end, at most. Where nothing ran, how long it
    /// took to say no.
    pub stopped_in: Duration,
    /// Whether something ran that had to be stopped.
    pub ran: bool,
}

impl Seen {
    /// It ended so, and nothing had to be stopped.
    pub fn told(end: End) -> Self {
        Self { end, stopped_in: Duration::ZERO, ran: false }
    }
}

impl Ends {
    /// Whether that is what was seen.
    pub fn are(&self, seen: &End) -> bool {
        match (self, seen) {
            (Self::Refused(text), End::Refused(why)) | (Self::Trap(text), End::Trap(why)) => {
                why.contains(text)
            }
            (Self::Denied(text), End::Denied(said))
            | (Self::Completed(text), End::Completed(said)) => said.contains(text),
            (Self::Limit(name), End::Limit(seen)) => name == seen,
            (Self::Deadline, End::Deadline) | (Self::Killed, End::Killed) => true,
            _ => false,
        }
    }

    /// Whether what ran was stopped, which has to be quick.
    pub fn is_a_stop(&self) -> bool {
        matches!(self, Self::Limit(_) | Self::Trap(_) | Self::Deadline | Self::Killed)
    }

    /// Whether it is the bytes that are turned away, so that nothing runs.
    pub fn come_before_it_runs(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            // The stack is the engine's, as are the others of those limits, but is filled by a run.
            Self::Limit(name) => !name.is_per_worker() && *name != LimitName::wasm_stack_bytes,
            _ => false,
        }
    }

    /// The limit that it is held to.
    pub fn limit(&self) -> Option<LimitName> {
        match self {
            Self::Limit(name) => Some(*name),
            Self::Deadline => Some(LimitName::turn_deadline_ms),
            _ => None,
        }
    }
}

impl End {
    /// What an error of a request means.
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::LimitExceeded { name, .. } | Error::MailboxFull { name, .. } => {
                Self::Limit(*name)
            }
            Error::ComponentRefused { reason } => {
                // What is counted before compiling is said in words only.
                let named = LimitName::ALL.iter().find(|name| {
                    reason.contains(&format!("limit {name}:"))
                        || reason.contains(&format!("more than {name} allows"))
                });
                named.map_or_else(|| Self::Refused(reason.clone()), |&name| Self::Limit(name))
            }
            other => Self::Wrong(format!("{other:?}")),
        }
    }

    /// What a turn's outcome means.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        let error = outcome.error.as_ref();
        let message = error.map(|error| format!("{}: {}", error.code, error.message));
        match outcome.ending {
            Ending::Completed => Self::of_output(outcome.output.as_ref()),
            Ending::Trapped => Self::Trap(message.unwrap_or_default()),
            Ending::Deadline => Self::Deadline,
            Ending::Limit => match error.and_then(|error| error.limit) {
                Some(name) => Self::Limit(name),
                None => Self::Wrong("a limit without a name".into()),
            },
            Ending::Cancelled => Self::Killed,
            // A service says no with a failure; the code is its own word.
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

/// In the words of the summary.
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
