//! Runs guests: reads a component without compiling it, compiles it elsewhere, instantiates it with
//! what it was granted and nothing else, and ends it when a limit or a person says so.
//!
//! The way through: [`Shape`] reads the bytes, [`Sandbox::load`] makes them ready,
//! [`Sandbox::connect`] gives an [`Instance`], and a turn on it has an [`Ended`].

mod calls;
mod census;
mod clocks;
mod compile;
mod embedded;
mod engine;
mod guarded;
mod guest;
mod instance;
pub mod interfaces;
mod kill;
mod lender;
mod lifecycle;
mod loaded;
mod meter;
mod outbound;
mod outcome;
mod preview1;
mod proposals;
mod random;
mod sandbox;
mod shape;
mod shortage;
mod slice;
mod slots;
pub mod stdio;
mod ticker;
mod turn;
mod wall;
mod walled;
mod world;

pub use calls::{FileCalls, Place};
pub use census::Census;
pub use compile::{
    ChildCompiler, CompileBounds, CompileError, CompileJob, Compiler, InProcessCompiler, child_main,
};
pub use embedded::{Embedded, EmbeddedParts, OperatorScope, Options};
pub use engine::{Allocator, Profile};
pub use guest::GuestSpec;
pub use instance::{Cost, Done, Instance};
pub use kill::{KillReason, KillSwitch};
pub use lender::{Lender, Unbounded};
pub use lifecycle::ConnectReason;
pub use loaded::{CompileOutcome, Loaded, Unkept};
pub use outbound::{HttpAccess, OperatorSecret, Outbound, Resolver, SecretError, SystemResolver};
pub use outcome::{Crash, Ended, Frame};
pub use proposals::Unoffered;
pub use sandbox::{LoadError, Sandbox, SandboxParts};
pub use shape::{Abi, Import, Refusal, Shape};
pub use shortage::Shortage;
pub use turn::{Identity, RecordError, RequestLog, TranscriptEntry, Turn};
pub use wall::{PROVE, Wall, prove};
pub use walled::{Isolation, Walled, run_main};
pub use world::{Denials, Denied, Mount};
