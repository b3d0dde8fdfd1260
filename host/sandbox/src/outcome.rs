//! How a turn ended, told apart by what the guest did, what it was held to, and what we broke.

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
    /// A command ended by itself, with its exit code.
    Exited(u8),
    /// A service answered.
    Answered(Payload),
    /// A service said that it could not handle the input.
    Failed(Failure),
    /// It crashed.
    Trapped(Crash),
    /// It was held to a limit and did not get over it. `exit_code` is what it said of itself, if
    /// it lived to.
    Limit {
        /// Which limit.
        name: LimitName,
        /// Where it crashed, if it did.
        crash: Option<Crash>,
        /// The guest's own exit code, if it exited.
        exit_code: Option<u8>,
    },
    /// Its deadline passed.
    Deadline,
    /// It was cancelled.
    Cancelled,
    /// We failed; the guest did nothing wrong.
    HostFault(String),
}

/// A guest's crash in its own terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// What happened, in a few words.
    pub message: String,
    /// The guest's call stack, innermost first.
    pub frames: Vec<Frame>,
}

/// One level of a guest's call stack. All text in it is the guest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The module it is in, if it has a name.
    pub module: Option<String>,
    /// The function's name, or its number.
    pub function: String,
    /// Source file and line, if the guest carries them.
    pub source: Option<String>,
}

impl From<KillReason> for Ended {
    fn from(reason: KillReason) -> Self {
        match reason {
            KillReason::Deadline => Self::Deadline,
            KillReason::Cancelled => Self::Cancelled,
        }
    }
}

/// An error of our own making inside a host call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostFault(pub(crate) String);

/// Frames kept of a crash.
const FRAMES: usize = 32;

/// Characters kept of each name in them.
const NAME: usize = 300;

/// Says what an error out of the engine means.
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

/// What an exit code means. One other than 0 after memory was refused is put down to that.
pub(crate) fn exited(code: u8, meter: &Meter) -> Ended {
    match code {
        0 => Ended::Exited(0),
        code if meter.memory_denied() => {
            Ended::Limit { name: LimitName::memory_bytes, crash: None, exit_code: Some(code) }
        }
        code => Ended::Exited(code),
    }
}

/// The limit that a crash is due to, if it is due to one.
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

/// Limits that the engine enforces for us and reports in words only: their error types are private
/// to it. Its version is pinned exactly. The first and the last have a test that hits them; the three
/// counts stand behind the census, which refuses such components first, and have none.
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
    Crash { message, frames }
}

fn frame(frame: &wasmtime::FrameInfo) -> Frame {
    let symbol = frame.symbols().first();
    let function = symbol
        .and_then(wasmtime::FrameSymbol::name)
        .or_else(|| frame.func_name())
        .map_or_else(|| format!("function {}", frame.func_index()), demangled);
    Frame {
        module: frame.module().name().map(|name| brief(name, NAME).into()),
        function: brief(&function, NAME).into(),
        source: symbol.and_then(|symbol| {
            let file = brief(symbol.file()?, NAME);
            Some(match symbol.line() {
                Some(line) => format!("{file}:{line}"),
                None => file.into(),
            })
        }),
    }
}

fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => format!("{name:#}"),
        Err(_) => name.to_owned(),
    }
}
