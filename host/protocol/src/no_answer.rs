//! The reasons why an HTTP worker did not answer a request.

use crate::ProxyError;

/// The reason why an HTTP worker did not answer a request. Once the head of an answer was sent, the
/// connection is reset instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The guest trapped.
    #[error("the worker trapped before it answered; its log says where")]
    Trap,
    /// The guest was out of memory.
    #[error("the worker reached its memory limit before it answered; raise memory_bytes")]
    Memory,
    /// The guest reached another limit.
    #[error("the worker reached a limit before it answered; its log says which")]
    Limit,
    /// The guest exited.
    #[error("the worker exited instead of answering")]
    Exit,
    /// The guest returned without an answer.
    #[error("the worker returned without setting an answer")]
    Unset,
    /// The guest gave an error of `wasi:http` as its answer.
    #[error("the worker answered with the error {0}")]
    GuestError(ProxyError),
    /// The guest answered with a head that HTTP does not allow.
    #[error("the worker's answer is not valid HTTP")]
    Invalid,
    /// The guest did not answer within its deadline.
    #[error("the worker did not answer within its deadline; raise turn_deadline_ms")]
    Deadline,
    /// Another request ended the instance that handled this one too.
    #[error("another request ended the instance that handled this one; try again")]
    Instance,
    /// The worker was stopped meanwhile.
    #[error("the worker was stopped before it answered; try again later")]
    Stopped,
}

impl NoAnswer {
    /// Returns every reason, with one error.
    pub const fn every() -> [Self; 10] {
        [
            Self::Trap,
            Self::Memory,
            Self::Limit,
            Self::Exit,
            Self::Unset,
            Self::GuestError(ProxyError::INTERNAL),
            Self::Invalid,
            Self::Deadline,
            Self::Instance,
            Self::Stopped,
        ]
    }

    /// Returns the reason of this word. `error` is the guest's error, if it gave one.
    pub(crate) fn of(word: &str, error: Option<ProxyError>) -> Option<Self> {
        let found = Self::every().into_iter().find(|one| one.reason() == word)?;
        match found {
            Self::GuestError(_) => error.map(Self::GuestError),
            found => Some(found),
        }
    }

    /// Returns the stable word beside the code `no_answer`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Memory => "memory",
            Self::Limit => "limit",
            Self::Exit => "exit",
            Self::Unset => "unset",
            Self::GuestError(_) => "guest_error",
            Self::Invalid => "invalid",
            Self::Deadline => "deadline",
            Self::Instance => "instance",
            Self::Stopped => "stopped",
        }
    }

    /// Returns the HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Deadline => 504,
            Self::Stopped => 503,
            _ => 502,
        }
    }
}
