//! The end of a turn: the guest's own doing, a limit, or a host fault.

use skep_protocol::text::brief;
use skep_protocol::{Failure, LimitName, Payload};
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use crate::code::shortage::Shortage;
use crate::limits::kill::KillReason;
use crate::limits::meter::Meter;
use crate::limits::past::PastLimit;

/// The end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A command exited with this code.
    Exited(u8),
    /// A service returned a result.
    Answered(Payload),
    /// A service reported that it could not handle the input.
    Failed {
        /// Its report.
        failure: Failure,
        /// A limit that it had reached before.
        limit: Option<LimitName>,
    },
    /// A service exited instead of returning a result.
    ServiceExited {
        /// The exit code.
        code: u8,
        /// The place of the exit.
        crash: Crash,
    },
    /// The guest crashed.
    Trapped(Crash),
    /// The guest reached a limit and did not recover.
    Limit {
        /// The limit.
        name: LimitName,
        /// The crash, if the guest crashed.
        crash: Option<Crash>,
        /// The guest's own exit code, if it exited.
        exit_code: Option<u8>,
    },
    /// The deadline passed.
    Deadline,
    /// The turn was cancelled.
    Cancelled,
    /// The host failed. The guest did nothing wrong.
    HostFault(String),
}

/// The crash of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// A short description.
    pub message: String,
    /// The guest's call stack, innermost first.
    pub frames: Vec<Frame>,
    /// The last lines that the turn wrote to standard error.
    pub stderr: Vec<String>,
}

/// One frame of a guest's call stack. All texts come from the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The name of the module, if it has one.
    pub module: Option<String>,
    /// The name of the function, or its index.
    pub function: String,
    /// The source file and line, if the guest has debug information.
    pub source: Option<String>,
    /// The position of its code in the component's file, unless `source` is known.
    pub position: Option<u64>,
}

impl Ended {
    /// Returns the crash of a guest that crashed.
    pub fn crash(&self) -> Option<&Crash> {
        match self {
            Self::Trapped(crash) | Self::ServiceExited { crash, .. } => Some(crash),
            Self::Limit { crash, .. } => crash.as_ref(),
            _ => None,
        }
    }

    /// Returns the crash of a guest that crashed, to add to it.
    pub(crate) fn crash_mut(&mut self) -> Option<&mut Crash> {
        match self {
            Self::Trapped(crash) | Self::ServiceExited { crash, .. } => Some(crash),
            Self::Limit { crash, .. } => crash.as_mut(),
            _ => None,
        }
    }
}

impl From<KillReason> for Ended {
    fn from(reason: KillReason) -> Self {
        match reason {
            KillReason::Deadline => Self::Deadline,
            KillReason::Cancelled => Self::Cancelled,
        }
    }
}

/// A failure of the host inside a host call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostFault(pub(crate) String);

/// Maximum frames of a crash.
pub(crate) const FRAMES: usize = 32;

/// Maximum characters of each name in a frame.
pub(crate) const NAME: usize = 300;

/// Classifies an error from the engine.
pub(crate) fn ended(error: &wasmtime::Error, meter: &Meter) -> Ended {
    if let Some(reason) = error.downcast_ref::<KillReason>() {
        return (*reason).into();
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return exited((code & 0xff) as u8, meter);
    }
    if let Some(HostFault(what)) = error.downcast_ref::<HostFault>() {
        return Ended::HostFault(what.clone());
    }
    if let Some(shortage) = Shortage::of_engine(error) {
        return Ended::HostFault(shortage.to_string());
    }
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return Ended::HostFault(error.to_string());
    }
    let crash = crash(error);
    match limit(error, meter) {
        Some(name) => Ended::Limit { name, crash: Some(crash), exit_code: None },
        None => Ended::Trapped(crash),
    }
}

/// Classifies an exit code. A failure after a memory was not allowed to grow is attributed to the
/// memory limit.
pub(crate) fn exited(code: u8, meter: &Meter) -> Ended {
    match code {
        0 => Ended::Exited(0),
        code if meter.memory_denied() => {
            Ended::Limit { name: LimitName::memory_bytes, crash: None, exit_code: Some(code) }
        }
        code => Ended::Exited(code),
    }
}

/// Classifies the end of a service that exited. It is not the end that its caller waits for.
pub(crate) fn service_exited(code: u8, error: &wasmtime::Error, meter: &Meter) -> Ended {
    let crash = crash(error);
    match exited(code, meter) {
        Ended::Limit { name, exit_code, .. } => {
            Ended::Limit { name, crash: Some(crash), exit_code }
        }
        _ => Ended::ServiceExited { code, crash },
    }
}

/// Returns the limit that caused a crash, if one did.
fn limit(error: &wasmtime::Error, meter: &Meter) -> Option<LimitName> {
    if let Some(PastLimit(name)) = error.downcast_ref::<PastLimit>() {
        return Some(*name);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => return Some(LimitName::wasm_stack_bytes),
        Some(Trap::OutOfFuel) => return Some(LimitName::fuel),
        _ => {}
    }
    if let Some(FieldMapError::TotalSizeTooBig | FieldMapError::TooManyFields) =
        error.downcast_ref::<FieldMapError>()
    {
        return Some(LimitName::http_header_bytes);
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Some(LimitName::host_resources);
    }
    if meter.memory_denied() {
        return Some(LimitName::memory_bytes);
    }
    if meter.table_denied() {
        return Some(LimitName::table_elements);
    }
    engine_limit(&error.root_cause().to_string())
}

/// Recognises limits that the engine enforces and reports only as text, because its error types are
/// private. The engine's version is pinned exactly. Tests hit the first and the last. The three
/// counts have no test: the census refuses those components first.
fn engine_limit(message: &str) -> Option<LimitName> {
    [
        ("fuel allocated for hostcalls has been exhausted", LimitName::hostcall_bytes),
        ("resource limit exceeded: instance count", LimitName::core_instances),
        ("resource limit exceeded: memory count", LimitName::memories),
        ("resource limit exceeded: table count", LimitName::tables),
        ("store handle limit exceeded", LimitName::component_handles),
    ]
    .into_iter()
    .find(|(words, _)| message.contains(words))
    .map(|(_, name)| name)
}

fn crash(error: &wasmtime::Error) -> Crash {
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let message = message.strip_prefix("wasm trap: ").map_or(message.clone(), str::to_owned);
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map_or_else(Vec::new, |trace| trace.frames().iter().take(FRAMES).map(frame).collect());
    Crash { message, frames, stderr: Vec::new() }
}

fn frame(frame: &wasmtime::FrameInfo) -> Frame {
    let function =
        frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
    Frame {
        module: frame.module().name().map(|name| brief(name, NAME).into()),
        function: brief(&function, NAME).into(),
        source: None,
        position: frame.module_offset().map(|position| position as u64),
    }
}

pub(crate) fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => format!("{name:#}"),
        Err(_) => name.to_owned(),
    }
}
