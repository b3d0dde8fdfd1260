//! What a command failed of, as text or as JSON, with what to do next.

use skep_protocol::Error;
use skep_registry::RegistryError;

use crate::report::{ErrorReport, FailureReport};
use crate::{OutputFormat, exit, json, terminal};

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failed {
    code: &'static str,
    message: String,
    hint: Option<&'static str>,
    exit: u8,
}

impl Failed {
    /// Something on this machine is not as it has to be.
    pub(crate) fn here(message: impl Into<String>) -> Self {
        Self {
            code: "invalid_request",
            message: message.into(),
            hint: None,
            exit: exit::SKEP_FAILED,
        }
    }

    /// The same, with what to do about it.
    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Shows it and returns the exit code.
    pub(crate) fn show(self, output: OutputFormat) -> u8 {
        match output {
            OutputFormat::Text => {
                terminal::say("error", &self.message);
                if let Some(hint) = self.hint {
                    terminal::say("hint", hint);
                }
            }
            OutputFormat::Json => {
                let hint = self.hint.map(str::to_owned);
                let error = ErrorReport { code: self.code, message: self.message, hint };
                terminal::print(&json::line(&FailureReport { error }));
            }
        }
        self.exit
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Unauthenticated => Some("give a token with --token-file or SKEP_TOKEN"),
            Error::UnknownWorker(_) => Some("`skep worker list` shows those that there are"),
            Error::UnknownComponent(_) => Some("`skep component push FILE` stores one"),
            Error::UnknownRuntime(_) => Some("`skep runtimes` shows those that there are"),
            Error::RuntimeUnavailable => {
                Some("start a host with `skep up`, or name one with --host")
            }
            Error::WorkerStopped => Some("`skep worker start WORKER` lets it run again"),
            _ => None,
        };
        let exit = match error {
            Error::ComponentRefused { .. } => exit::REFUSED,
            _ => exit::SKEP_FAILED,
        };
        Self { code: error.code(), message: error.to_string(), hint, exit }
    }
}

impl From<RegistryError> for Failed {
    fn from(error: RegistryError) -> Self {
        Self::here(error.to_string())
    }
}

impl From<String> for Failed {
    fn from(message: String) -> Self {
        Self::here(message)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::here(error.to_string())
    }
}
