//! Runs one guest with exactly the access it was granted, and ends it at a limit or on request.
//!
//! [`Shape`] reads a component's headers, [`Sandbox::load`] compiles it, [`Sandbox::connect`]
//! creates an [`Instance`], and each turn of that instance ends as an [`Ended`].
//!
//! The modules form layers: `limits`, `guest`, `wall` and `preflight` at the bottom, then `egress`,
//! `wasi` and `code`, then `instance`, `sandbox` and `out_of_process`. A lower layer never imports
//! a higher one.

mod code;
mod egress;
mod guest;
mod instance;
mod limits;
mod out_of_process;
mod outcome;
mod preflight;
mod sandbox;
mod wall;
mod wasi;

pub use code::compile::{
    ChildCompiler, CompileBounds, CompileError, CompileJob, Compiler, InProcessCompiler, child_main,
};
pub use code::compiled::{CompiledCache, CompiledFile, CompiledSize, FreshCode};
pub use code::engine::{Allocator, Profile};
pub use code::file_state::FileState;
pub use code::function_cache::Incremental;
pub use code::functions::FunctionFiles;
pub use code::known_digests::KnownDigests;
pub use code::loaded::{CompileOutcome, Loaded, Unkept};
pub use code::places::Place;
pub use code::shortage::Shortage;
pub use egress::{HttpAccess, OperatorSecret, Outbound, Resolver, SecretError, SystemResolver};
pub use guest::calls::{FileCalls, FileThread};
pub use guest::cost::Cost;
pub use guest::denials::{Denials, Denied};
pub use guest::stdio;
pub use guest::turn::{
    Identity, NoTurn, RecordError, RequestLog, TranscriptEntry, TranscriptPage, Turn,
};
pub use instance::{Done, Instance};
pub use limits::admission::{MemoryAdmission, UnboundedMemory};
pub use limits::kill::{KillReason, KillSwitch};
pub use limits::slots::Share;
pub use out_of_process::{
    Isolation, MountJob, OutOfProcess, Placement, ProcessJob, ProcessStreams, run_main,
};
pub use outcome::{Crash, Ended, Frame};
pub use preflight::census::Census;
pub use preflight::fit::Misfit;
pub use preflight::interfaces;
pub use preflight::interfaces::Wasi03;
pub use preflight::proposals::Unoffered;
pub use preflight::shape::{Abi, Import, Refusal, Shape, handles_several};
pub use sandbox::{LoadError, Sandbox, SandboxParts};
pub use wall::{PROVE, Wall, prove};
pub use wasi::http::answer::{GuestAnswer, GuestBody, Unanswered};
pub use wasi::http::group_call::{CallDone, GroupCall};
pub use wasi::http::request_group::{GroupBounds, RequestGroup};
pub use wasi::lifecycle::ConnectReason;
pub use wasi::spec::{GuestSpec, Mount};
