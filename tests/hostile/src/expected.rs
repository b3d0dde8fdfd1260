//! The end that a case must have.

use skep_protocol::LimitName;

use crate::end::End;

/// The end that a case must have. A text must occur in the message.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// The bytes were refused before anything ran, for this reason.
    Refused(&'static str),
    /// A limit applied: the request was refused or the turn ended.
    Limit(LimitName),
    /// The guest trapped.
    Trap(&'static str),
    /// The deadline passed.
    Deadline,
    /// The turn was cancelled.
    Killed,
    /// The guest got an error value and exited normally with `denied: ` and this on standard
    /// output.
    Denied(&'static str),
    /// The guest ended normally with this on standard output or in its answer.
    Completed(&'static str),
}

impl Expected {
    /// Returns true if the end is the expected one.
    pub fn matches(&self, seen: &End) -> bool {
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

    /// Returns true if a running guest was stopped, which must be quick.
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Limit(_) | Self::Trap(_) | Self::Deadline | Self::Killed)
    }

    /// Returns true if the bytes are refused before anything runs.
    pub fn is_before_run(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            // A limit of the engine like the others, but a run fills the stack.
            Self::Limit(name) => !name.is_per_worker() && *name != LimitName::wasm_stack_bytes,
            _ => false,
        }
    }

    /// Returns the limit that applies.
    pub fn limit(&self) -> Option<LimitName> {
        match self {
            Self::Limit(name) => Some(*name),
            Self::Deadline => Some(LimitName::turn_deadline_ms),
            _ => None,
        }
    }
}
