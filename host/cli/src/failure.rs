//! The failure of a command, as text or JSON, with a hint at the next step.

use std::borrow::Cow;
use std::fmt;

use skep_project::ProjectError;
use skep_protocol::Error;
use skep_registry::RegistryError;

use crate::output::OutputFormat;
use crate::report::{ErrorReport, FailureReport};
use crate::terminal::LostOutput;
use crate::{exit, json, terminal};

/// The failure of a command.
#[derive(Debug)]
pub(crate) enum Failed {
    /// An error to print.
    Error { code: &'static str, message: String, hint: Option<Cow<'static, str>>, exit: u8 },
    /// The reader of standard output closed its end, as `head` does. This is no error.
    ReaderGone,
}

impl Failed {
    /// Reports a problem with this machine, its settings or the command line.
    pub(crate) fn here(message: impl Into<String>) -> Self {
        Self::Error {
            code: "invalid_request",
            message: message.into(),
            hint: None,
            exit: exit::SKEP_FAILED,
        }
    }

    /// Reports a fault of Skep itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::Error {
            code: "internal",
            message: message.into(),
            hint: None,
            exit: exit::SKEP_FAILED,
        }
    }

    /// Reports a component that would not run.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Error {
            code: "component_refused",
            message: message.into(),
            hint: None,
            exit: exit::REFUSED,
        }
    }

    /// Adds the next step.
    pub(crate) fn hint(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        if let Self::Error { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    /// Prints the failure and returns the exit code.
    pub(crate) fn show(self, output: OutputFormat) -> u8 {
        let Self::Error { code, message, hint, exit } = self else { return 0 };
        if output == OutputFormat::Json {
            let hint = hint.clone().map(Cow::into_owned);
            let error = ErrorReport { code, message: message.clone(), hint };
            if terminal::print(&json::line(&FailureReport { error })).is_ok() {
                return exit;
            }
        }
        terminal::say("error", &message);
        if let Some(hint) = hint {
            terminal::say("hint", &hint);
        }
        exit
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { message, .. } => f.write_str(message),
            Self::ReaderGone => f.write_str("the reader closed standard output"),
        }
    }
}

impl From<LostOutput> for Failed {
    fn from(lost: LostOutput) -> Self {
        match lost.is_closed_pipe() {
            true => Self::ReaderGone,
            false => Self::Error {
                code: "output_lost",
                message: lost.to_string(),
                hint: None,
                exit: exit::SKEP_FAILED,
            },
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Unauthenticated => Some("give a token with --token-file or SKEP_TOKEN"),
            Error::UnknownWorker(_) => Some("`skep worker list` lists the workers"),
            Error::UnknownComponent(_) => Some("`skep component push FILE` stores a component"),
            Error::UnknownRuntime(_) => Some("`skep runtimes` lists the runtimes"),
            Error::RuntimeUnavailable => {
                Some("start a host with `skep up`, or name one with --host")
            }
            Error::WorkerStopped => Some("`skep worker start WORKER` starts it again"),
            _ => None,
        };
        let exit = match error {
            Error::ComponentRefused { .. } => exit::REFUSED,
            _ => exit::SKEP_FAILED,
        };
        let hint = hint.map(Cow::Borrowed);
        Self::Error { code: error.code(), message: error.to_string(), hint, exit }
    }
}

impl From<ProjectError> for Failed {
    fn from(error: ProjectError) -> Self {
        let exit = match error.code {
            "build_failed" => exit::SERVICE_FAILED,
            _ => exit::SKEP_FAILED,
        };
        let ProjectError { code, message, hint } = error;
        Self::Error { code, message, hint: hint.map(Cow::Owned), exit }
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
