//! An ordinary failure of a turn, and the conversions of the SDK's other errors into one, so that
//! `?` works.

use std::fmt;

use crate::{fetch, state, transcript};

/// The reason why an input could not be handled. It rolls back the turn's writes to `state`; the
/// worker continues with its next input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word that callers can match on, such as `bad-request`.
    pub code: String,
    /// One sentence for the sender of the input.
    pub message: String,
}

impl Failure {
    /// Makes a failure with this code and message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// The code is `state-` and the error's name: `state-too-large` and so on.
impl From<state::Error> for Failure {
    fn from(error: state::Error) -> Self {
        let code = match error {
            state::Error::InvalidKey => "state-invalid-key",
            state::Error::TooLarge(_) => "state-too-large",
            state::Error::NotText => "state-not-text",
            state::Error::Unavailable(_) => "state-unavailable",
        };
        Self::new(code, error.to_string())
    }
}

/// The code is `transcript-` and the error's name: `transcript-too-many` and so on.
impl From<transcript::Error> for Failure {
    fn from(error: transcript::Error) -> Self {
        let code = match error {
            transcript::Error::TooLarge(_) => "transcript-too-large",
            transcript::Error::TooMany(_) => "transcript-too-many",
            transcript::Error::InvalidKind => "transcript-invalid-kind",
            transcript::Error::Unavailable(_) => "transcript-unavailable",
        };
        Self::new(code, error.to_string())
    }
}

/// The code is `fetch-` and the error's name: `fetch-denied` and so on.
impl From<fetch::Error> for Failure {
    fn from(error: fetch::Error) -> Self {
        let code = match error {
            fetch::Error::InvalidRequest(_) => "fetch-invalid-request",
            fetch::Error::Denied(_) => "fetch-denied",
            fetch::Error::TooLarge(_) => "fetch-too-large",
            fetch::Error::TimedOut => "fetch-timed-out",
            fetch::Error::Failed(_) => "fetch-failed",
        };
        Self::new(code, error.to_string())
    }
}

/// The code is `io`; the message is the error's own.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("io", error.to_string())
    }
}
