//! A component that is ready to be instantiated.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use skep_protocol::ComponentKind;
use skep_store::CompiledFile;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::engine::{Engine, Profile};
use crate::lifecycle::{self, HookIndices};
use crate::shape::{Abi, Refusal, Shape};
use crate::world::World;
use crate::world::worker::bindings::ServiceIndices;

/// Compiled, linked and kept: instantiating it costs microseconds.
pub struct Loaded {
    /// What it is.
    pub shape: Shape,
    /// What it is run as.
    pub kind: ComponentKind,
    /// How it was compiled.
    pub profile: Profile,
    pub(crate) code: Code,
    /// The file that a process of its own loads it from; kept for commands only.
    pub(crate) native: Option<CompiledFile>,
}

impl Loaded {
    /// Whether it imports nothing but WASI, so that no call of it needs what only the host has.
    pub(crate) fn is_wasi_alone(&self) -> bool {
        let mut imports = self.shape.imports.iter();
        self.native.is_some() && imports.all(|import| import.name.name.starts_with("wasi"))
    }

    /// Whether it would make requests if it were granted any.
    pub(crate) fn dials(&self) -> bool {
        self.shape.imports.iter().any(|import| import.name.name.starts_with("wasi:http/"))
    }
}

/// The three things that can be instantiated.
pub(crate) enum Code {
    Service(ServiceCode),
    Command(CommandPre<World>),
    Module(wasmtime::InstancePre<World>),
}

/// A service with the places of its exports.
pub(crate) struct ServiceCode {
    pub(crate) pre: InstancePre<World>,
    pub(crate) handler: ServiceIndices,
    pub(crate) hooks: Option<HookIndices>,
}

impl ServiceCode {
    fn new(pre: InstancePre<World>) -> wasmtime::Result<Self> {
        let handler = ServiceIndices::new(&pre)?;
        let hooks = lifecycle::find(&pre)?;
        Ok(Self { pre, handler, hooks })
    }
}

/// Where the native code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileOutcome {
    /// It was there.
    Hit,
    /// It was compiled, in this time.
    Miss(Duration),
}

/// What went wrong, without the messages that name a path of this process.
fn reason(error: &wasmtime::Error, path: &str) -> String {
    let words = error.chain().map(ToString::to_string).filter(|words| !words.contains(path));
    words.collect::<Vec<_>>().join(": ")
}

/// Loads native code and links it.
pub(crate) fn link(
    engine: &Engine,
    abi: Abi,
    kind: ComponentKind,
    native: &File,
) -> Result<Code, Refusal> {
    // wasmtime opens files by path only; this one is the verified descriptor itself.
    let path = format!("/proc/self/fd/{}", native.as_raw_fd());
    // The engine's own words name that path.
    let refuse = |error: wasmtime::Error| Refusal::Link(reason(&error, &path));
    match abi {
        Abi::Component => {
            #[expect(unsafe_code, reason = "loads native code")]
            // SAFETY: the file was written by our own compiler for this engine's hash, its digest
            // was checked through this very descriptor, and nothing truncates it in place.
            let component = unsafe { Component::deserialize_file(&engine.wasmtime, &path) };
            let component = component.map_err(refuse)?;
            let pre = engine
                .components()
                .and_then(|linker| linker.instantiate_pre(&component))
                .map_err(refuse)?;
            match kind {
                ComponentKind::Service => ServiceCode::new(pre).map(Code::Service).map_err(refuse),
                _ => CommandPre::new(pre).map(Code::Command).map_err(refuse),
            }
        }
        Abi::Preview1 => {
            #[expect(unsafe_code, reason = "loads native code")]
            // SAFETY: as above.
            let module = unsafe { wasmtime::Module::deserialize_file(&engine.wasmtime, &path) };
            let module = module.map_err(refuse)?;
            let pre = engine
                .modules()
                .and_then(|linker| linker.instantiate_pre(&module))
                .map_err(refuse)?;
            Ok(Code::Module(pre))
        }
    }
}
