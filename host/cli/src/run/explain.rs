//! What an end means to the person at the terminal: an exit code, a sentence, and what to do next.

use skep_protocol::LimitName;
use skep_protocol::limits::Limits;
use skep_protocol::text::neutral;
use skep_sandbox::{CompileError, Crash, Ended, LoadError, Refusal};

use crate::exit;
use crate::failure::Failed;
use crate::signals::StopRequest;
use crate::terminal::Lost;

/// An end put into words.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// The report's `status`.
    pub(crate) status: &'static str,
    pub(crate) exit_code: u8,
    pub(crate) guest_exit_code: Option<u8>,
    pub(crate) limit: Option<LimitName>,
    pub(crate) crash: Option<Crash>,
    /// What happened, for an end that needs saying.
    pub(crate) message: Option<String>,
    pub(crate) hint: Option<String>,
}

impl From<Failed> for Explained {
    /// The end of a run that was not begun.
    fn from(failed: Failed) -> Self {
        let message = Some(failed.to_string());
        let hint = match failed {
            Failed::Error { hint, .. } => hint.map(str::to_owned),
            Failed::ReaderGone => None,
        };
        Self { status: "error", exit_code: exit::SKEP_FAILED, message, hint, ..Self::default() }
    }
}

impl Explained {
    /// The same end, of which not all output reached its reader.
    pub(super) fn with_lost(self, lost: Option<&Lost>) -> Self {
        match lost {
            Some(lost) if self.exit_code == 0 => Self {
                status: "output_lost",
                exit_code: exit::SKEP_FAILED,
                guest_exit_code: Some(0),
                message: Some(lost.to_string()),
                ..self
            },
            // The guest's own code tells already that it did not go well.
            Some(lost) => self.also(&lost.to_string()),
            None => self,
        }
    }

    /// The same end, of which not all results were copied. The guest's own code is said beside it.
    pub(super) fn without_results(self, exit_code: u8, message: &str) -> Self {
        let own = match self.status {
            "exited" => Some(self.exit_code),
            _ => self.guest_exit_code,
        };
        let message = match own {
            Some(code) => format!("{message}; the guest exited with {code}"),
            None => message.to_owned(),
        };
        let status = if self.status == "exited" { "error" } else { self.status };
        Self { status, exit_code, guest_exit_code: own, ..self }.also(&message)
    }

    fn also(mut self, message: &str) -> Self {
        self.message = Some(match self.message {
            Some(first) => format!("{first}; {message}"),
            None => message.to_owned(),
        });
        self
    }
}

/// Puts the end of a run into words.
pub(crate) fn ended(ended: &Ended, limits: &Limits, stopped: Option<StopRequest>) -> Explained {
    match ended {
        Ended::Exited(code) => {
            Explained { status: "exited", exit_code: *code, ..Explained::default() }
        }
        Ended::Answered(_) => Explained { status: "answered", ..Explained::default() },
        Ended::Failed(failure) => Explained {
            status: "failed",
            exit_code: exit::SERVICE_FAILED,
            message: Some(format!(
                "the worker answered with a failure: {} ({})",
                neutral(&failure.message),
                neutral(&failure.code)
            )),
            ..Explained::default()
        },
        Ended::Trapped(crash) => Explained {
            status: "trapped",
            exit_code: exit::TRAPPED,
            crash: Some(crash.clone()),
            message: Some(format!("the guest trapped: {}", neutral(&crash.message))),
            hint: Some(trap_hint(crash)),
            ..Explained::default()
        },
        Ended::Limit { name, crash, exit_code } => {
            let (code, message, hint) = limit(*name, limits, *exit_code);
            Explained {
                status: "limit",
                exit_code: code,
                guest_exit_code: *exit_code,
                limit: Some(*name),
                crash: crash.clone(),
                message: Some(message),
                hint: Some(hint),
            }
        }
        Ended::Deadline => Explained {
            status: "deadline",
            exit_code: exit::DEADLINE,
            limit: Some(LimitName::turn_deadline_ms),
            message: Some(format!(
                "stopped at its deadline of {}",
                LimitName::turn_deadline_ms.unit().show(limits.turn_deadline_ms)
            )),
            hint: Some("give it longer with --timeout".into()),
            ..Explained::default()
        },
        Ended::Cancelled => {
            let request = stopped.unwrap_or(StopRequest::CtrlC);
            let message = match request {
                StopRequest::Terminate => "stopped by SIGTERM",
                StopRequest::CtrlC => "stopped by Ctrl-C",
            };
            let exit_code = request.exit_code();
            Explained {
                status: "cancelled",
                exit_code,
                message: Some(message.into()),
                ..Explained::default()
            }
        }
        Ended::HostFault(what) => Explained {
            status: "host_fault",
            exit_code: exit::SKEP_FAILED,
            message: Some(format!("Skep failed: {what}")),
            hint: Some("this is not the guest's fault; SKEP_LOG=debug tells more".into()),
            ..Explained::default()
        },
    }
}

fn trap_hint(crash: &Crash) -> String {
    let named = crash.frames.iter().any(|frame| !frame.function.starts_with("function "));
    match (crash.frames.is_empty(), named) {
        (true, _) => "it crashed inside the sandbox; the host is unharmed".into(),
        (false, true) => "it crashed where its own backtrace says; the host is unharmed".into(),
        (false, false) => "build it without stripping names to see functions here".into(),
    }
}

fn limit(name: LimitName, limits: &Limits, code: Option<u8>) -> (u8, String, String) {
    let value = name.unit().show(limits.get(name));
    let exit_code =
        if name == LimitName::memory_bytes { exit::OUT_OF_MEMORY } else { exit::TRAPPED };
    let message = match (name, code) {
        (LimitName::memory_bytes, Some(code)) => {
            format!("out of memory: it was refused more than {value} and exited with {code}")
        }
        (LimitName::memory_bytes, None) => {
            format!("out of memory: it was refused more than {value} and crashed")
        }
        _ => format!("stopped at limit {name} ({value}): {}", name.why()),
    };
    let hint = match name {
        LimitName::memory_bytes => "give it more with --memory".into(),
        LimitName::fuel => "give it more with --fuel".into(),
        _ => format!("`skep inspect` lists {name} with all other limits; it cannot be raised here"),
    };
    (exit_code, message, hint)
}

/// Puts a component that was never started into words.
pub(crate) fn not_loaded(error: &LoadError) -> Explained {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let message = neutral(&message).to_string();
    let refused = |limit: Option<LimitName>, hint: &str| Explained {
        status: "refused",
        exit_code: exit::REFUSED,
        limit,
        message: Some(message.clone()),
        hint: (!hint.is_empty()).then(|| hint.into()),
        ..Explained::default()
    };
    match error {
        LoadError::Refused(Refusal::Limit { name: LimitName::memory_bytes, .. }) => {
            refused(Some(LimitName::memory_bytes), "give it more with --memory")
        }
        LoadError::Refused(Refusal::Limit { name, .. }) => {
            refused(Some(*name), "it was not started; `skep inspect` shows what it would take")
        }
        LoadError::Refused(Refusal::Imports(_)) => {
            refused(None, "`skep inspect` lists each import beside what Skep offers")
        }
        LoadError::Refused(_) | LoadError::Compile(CompileError::Unoffered(_)) => refused(None, ""),
        LoadError::Compile(CompileError::Invalid(_)) => {
            refused(None, "check how it was built (`wasm-tools validate`)")
        }
        LoadError::Compile(CompileError::Limit { name, .. }) => {
            Explained { status: "limit", ..refused(Some(*name), past_compiling(*name)) }
        }
        LoadError::Compile(CompileError::Crashed(_)) => {
            refused(None, "only the compiling process died; this is worth a bug report")
        }
        LoadError::Compile(CompileError::Io(_) | CompileError::Shortage(_))
        | LoadError::Shortage(_)
        | LoadError::Engine(_) => Explained {
            status: "error",
            exit_code: exit::SKEP_FAILED,
            message: Some(message),
            hint: Some("this is not the guest's fault: it was not started".into()),
            ..Explained::default()
        },
    }
}

/// What to do where compiling took too much.
fn past_compiling(name: LimitName) -> &'static str {
    match name {
        LimitName::compile_cpu_ms => "give it longer with --compile-timeout",
        LimitName::compile_wall_ms => {
            "try again when the machine is less busy, or give it longer with --compile-timeout"
        }
        _ => "code of an ordinary program compiles within it; this was not run",
    }
}

/// The stable code that goes with a status.
pub(crate) fn code(status: &str) -> &'static str {
    match status {
        "refused" => "component_refused",
        "trapped" => "trapped",
        "limit" => "limit_exceeded",
        "deadline" => "deadline",
        "cancelled" => "cancelled",
        "failed" => "worker_failed",
        "host_fault" => "internal",
        "output_lost" => "output_lost",
        _ => "invalid_request",
    }
}
