//! The end of a run in words: an exit code, a message and a hint.

use skep_protocol::text::neutral;
use skep_protocol::{Failure, LimitName, LimitSet, Limits};
use skep_sandbox::{CompileError, Crash, Ended, LoadError, Refusal};

use super::limits::flag;
use super::watch::Interrupted;
use crate::exit;
use crate::failure::Failed;
use crate::signals::StopRequest;
use crate::terminal::LostOutput;

/// The end of a run, explained.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    /// The `status` of the report.
    pub(super) status: &'static str,
    pub(super) exit_code: u8,
    pub(super) guest_exit_code: Option<u8>,
    pub(super) limit: Option<LimitName>,
    pub(super) crash: Option<Crash>,
    /// The message, unless the guest ended normally.
    pub(super) message: Option<String>,
    pub(super) hint: Option<String>,
}

impl From<Failed> for Explained {
    /// Explains a run that did not begin.
    fn from(failed: Failed) -> Self {
        let message = failed.to_string();
        let hint = match failed {
            Failed::Error { hint, .. } => hint.map(std::borrow::Cow::into_owned),
            Failed::ReaderGone => None,
        };
        Self { hint, ..Self::error(message) }
    }
}

impl Explained {
    /// Explains a run whose guest did not start because of an error on this machine.
    pub(super) fn error(message: String) -> Self {
        Self {
            status: "error",
            exit_code: exit::SKEP_FAILED,
            message: Some(message),
            ..Self::default()
        }
    }

    /// Explains a guest that was not started, as it cannot run in a process of its own.
    pub(super) fn not_isolated(message: String) -> Self {
        Self {
            status: "refused",
            exit_code: exit::REFUSED,
            message: Some(message),
            hint: Some("leave out --isolate, or use --isolate=auto".into()),
            ..Self::default()
        }
    }

    /// Explains a component that is no program.
    pub(super) fn not_a_program() -> Self {
        Self {
            status: "refused",
            exit_code: exit::REFUSED,
            message: Some("this is an http component, which handles requests".into()),
            hint: Some("serve it with `skep serve`".into()),
            ..Self::default()
        }
    }

    /// Explains a run whose guest did not start because an earlier wait was interrupted.
    pub(super) fn interrupted(reason: Interrupted, limits: &Limits) -> Self {
        match reason {
            Interrupted::Late => ended(&Ended::Deadline, limits, None),
            Interrupted::Stopped(request) => ended(&Ended::Cancelled, limits, Some(request)),
        }
    }

    /// Adds that part of the output was lost, if it was.
    pub(super) fn with_lost(self, lost: Option<&LostOutput>) -> Self {
        match lost {
            Some(lost) if self.exit_code == 0 => Self {
                status: "output_lost",
                exit_code: exit::SKEP_FAILED,
                guest_exit_code: Some(0),
                message: Some(lost.to_string()),
                ..self
            },
            // The guest's own exit code already reports a failure.
            Some(lost) => self.also(&lost.to_string()),
            None => self,
        }
    }

    /// Adds that some files were not copied. `exit_code` replaces the guest's own, which moves into
    /// the message.
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

    /// Blames a full disk for the failure of a guest that was refused room on it, as an exit code of 1
    /// alone would not tell. The exit code stays the guest's.
    pub(super) fn with_full_disk(self, met: LimitSet, limits: &Limits) -> Self {
        let full = [LimitName::disk_bytes, LimitName::disk_entries];
        let full = full.into_iter().find(|name| met.contains(*name));
        match full {
            Some(name) if self.limit.is_none() && self.exit_code != 0 => {
                let value = name.unit().show(limits.get(name));
                let hint = format!("raise the limit with {}", flag(name));
                let message =
                    format!("the disk was full: the guest was refused more than {value} ({name})");
                Self { limit: Some(name), hint: self.hint.clone().or(Some(hint)), ..self }
                    .also(&message)
            }
            _ => self,
        }
    }

    /// Returns the failure of a command that did not start its guest.
    pub(crate) fn into_failed(self) -> Failed {
        Failed::Error {
            code: self.code(),
            message: self.message.unwrap_or_default(),
            hint: self.hint.map(Into::into),
            exit: self.exit_code,
        }
    }

    /// Returns the stable code of the error.
    pub(super) fn code(&self) -> &'static str {
        match self.status {
            "exited" if self.limit.is_some() => code("limit"),
            status => code(status),
        }
    }

    fn also(mut self, message: &str) -> Self {
        self.message = Some(match self.message {
            Some(first) => format!("{first}; {message}"),
            None => message.to_owned(),
        });
        self
    }
}

/// Explains the end of a guest. `stopped` is the signal that cancelled it.
pub(super) fn ended(ended: &Ended, limits: &Limits, stopped: Option<StopRequest>) -> Explained {
    match ended {
        Ended::Exited(code) => {
            Explained { status: "exited", exit_code: *code, ..Explained::default() }
        }
        Ended::Answered(_) => Explained { status: "answered", ..Explained::default() },
        Ended::Failed { failure, limit } => failed(failure, *limit, limits),
        Ended::ServiceExited { code, crash } => Explained {
            status: "exited",
            exit_code: exit::TRAPPED,
            guest_exit_code: Some(*code),
            crash: Some(crash.clone()),
            message: Some(format!("the service exited with {code} instead of answering")),
            hint: Some("a service returns from `handle`; only a command exits".into()),
            ..Explained::default()
        },
        Ended::Trapped(crash) => Explained {
            status: "trapped",
            exit_code: exit::TRAPPED,
            crash: Some(crash.clone()),
            message: Some(format!("the guest trapped: {}", neutral(&crash.message))),
            hint: Some(trap_hint(crash).into()),
            ..Explained::default()
        },
        Ended::Limit { name, crash, exit_code } => {
            Explained { crash: crash.clone(), ..limit(*name, limits, *exit_code) }
        }
        Ended::Deadline => Explained {
            status: "deadline",
            exit_code: exit::DEADLINE,
            limit: Some(LimitName::turn_deadline_ms),
            message: Some(format!(
                "stopped at its deadline of {}",
                LimitName::turn_deadline_ms.unit().show(limits.turn_deadline_ms)
            )),
            hint: Some("raise the deadline with --timeout".into()),
            ..Explained::default()
        },
        Ended::Cancelled => cancelled(stopped.unwrap_or(StopRequest::CtrlC)),
        Ended::HostFault(reason) => Explained {
            status: "host_fault",
            exit_code: exit::SKEP_FAILED,
            message: Some(format!("Skep failed: {reason}")),
            hint: Some("this is not the guest's fault; SKEP_LOG=debug shows more".into()),
            ..Explained::default()
        },
    }
}

/// Explains a failure that a service returned, perhaps after it had reached a limit.
fn failed(failure: &Failure, limit: Option<LimitName>, limits: &Limits) -> Explained {
    let (text, code) = (neutral(&failure.message), neutral(&failure.code));
    let mut message = format!("the service returned a failure: {text} ({code})");
    if let Some(name) = limit {
        let value = name.unit().show(limits.get(name));
        message += &format!("; before that, it was refused more than {value} ({name})");
    }
    let is_memory = limit == Some(LimitName::memory_bytes);
    Explained {
        status: "failed",
        exit_code: exit::SERVICE_FAILED,
        limit,
        message: Some(message),
        hint: is_memory.then(|| "raise the limit with --memory".into()),
        ..Explained::default()
    }
}

fn cancelled(request: StopRequest) -> Explained {
    let message = match request {
        StopRequest::Terminate => "stopped by SIGTERM",
        StopRequest::CtrlC => "stopped by Ctrl-C",
    };
    Explained {
        status: "cancelled",
        exit_code: request.exit_code(),
        message: Some(message.into()),
        ..Explained::default()
    }
}

fn trap_hint(crash: &Crash) -> &'static str {
    let named = crash.frames.iter().any(|frame| !frame.function.starts_with("function "));
    match (crash.frames.is_empty(), named) {
        (true, _) => "the guest crashed inside the sandbox; the host is unaffected",
        (false, true) => "the backtrace shows where the guest crashed; the host is unaffected",
        (false, false) => "build the guest without stripping names to see its functions here",
    }
}

/// Explains an end at a limit. `code` is the guest's own exit code, if it exited.
fn limit(name: LimitName, limits: &Limits, code: Option<u8>) -> Explained {
    let value = name.unit().show(limits.get(name));
    let exit_code = match name {
        LimitName::memory_bytes => exit::OUT_OF_MEMORY,
        _ => exit::TRAPPED,
    };
    let message = match (name, code) {
        (LimitName::memory_bytes, Some(code)) => {
            format!("out of memory: the guest was refused more than {value} and exited with {code}")
        }
        (LimitName::memory_bytes, None) => {
            format!("out of memory: the guest was refused more than {value} and crashed")
        }
        _ => format!("stopped at limit {name} ({value}): {}", name.why()),
    };
    let hint = match name {
        LimitName::wasm_stack_bytes => {
            "this limit is the engine's; build the guest to recurse less".to_owned()
        }
        name => format!("raise the limit with {}", flag(name)),
    };
    Explained {
        status: "limit",
        exit_code,
        guest_exit_code: code,
        limit: Some(name),
        crash: None,
        message: Some(message),
        hint: Some(hint),
    }
}

/// Explains a component that was not started.
pub(crate) fn not_loaded(error: &LoadError) -> Explained {
    let message = with_causes(error);
    let refused = |limit: Option<LimitName>, hint: Option<&str>| Explained {
        status: "refused",
        exit_code: exit::REFUSED,
        limit,
        message: Some(message.clone()),
        hint: hint.map(str::to_owned),
        ..Explained::default()
    };
    match error {
        LoadError::Refused(Refusal::Limit { name: LimitName::memory_bytes, .. }) => {
            refused(Some(LimitName::memory_bytes), Some("raise the limit with --memory"))
        }
        LoadError::Refused(Refusal::Limit { name, .. }) => {
            let hint = format!("`skep inspect` shows what it needs; allow it with {}", flag(*name));
            Explained { hint: Some(hint), ..refused(Some(*name), None) }
        }
        LoadError::Refused(Refusal::Imports(_)) => {
            refused(None, Some("`skep inspect` lists each import and whether Skep offers it"))
        }
        LoadError::Compile(CompileError::Misfit(_)) => {
            refused(None, Some("build it again with the WIT files of this Skep"))
        }
        LoadError::Refused(_) | LoadError::Compile(CompileError::Unoffered(_)) => {
            refused(None, None)
        }
        LoadError::Compile(CompileError::Invalid(_)) => {
            refused(None, Some("check the build with `wasm-tools validate`"))
        }
        LoadError::Compile(CompileError::Limit { name, .. }) => {
            Explained { status: "limit", ..refused(Some(*name), Some(compile_hint(*name))) }
        }
        LoadError::Compile(CompileError::Crashed(_)) => {
            refused(None, Some("only the compiling process crashed; this is worth a bug report"))
        }
        LoadError::Compile(CompileError::Io(_) | CompileError::Shortage(_))
        | LoadError::Shortage(_)
        | LoadError::Engine(_) => Explained {
            hint: Some("the guest was not started; this is not its fault".into()),
            ..Explained::error(message)
        },
    }
}

/// Returns an error and its causes in one line that a terminal can show.
fn with_causes(error: &LoadError) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    neutral(&message).to_string()
}

/// Returns the hint for a component that reached a limit of compiling.
fn compile_hint(name: LimitName) -> &'static str {
    match name {
        LimitName::compile_cpu_ms => "raise the limit with --compile-timeout",
        LimitName::compile_wall_ms => {
            "try again when the machine is less busy, or raise the limit with --compile-timeout"
        }
        _ => "ordinary programs compile within this limit; the component was not run",
    }
}

/// Returns the stable error code of a status.
fn code(status: &str) -> &'static str {
    match status {
        "refused" => "component_refused",
        "trapped" => "trapped",
        "exited" => "exited",
        "limit" => "limit_exceeded",
        "deadline" => "deadline",
        "cancelled" => "cancelled",
        "failed" => "worker_failed",
        "host_fault" => "internal",
        "output_lost" => "output_lost",
        _ => "invalid_request",
    }
}
