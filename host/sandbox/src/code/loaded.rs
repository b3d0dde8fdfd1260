//! A component that is ready to be instantiated.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::code::compiled::{CompiledFile, CompiledSize};
use rustix::io::Errno;
use skep_protocol::ComponentKind;
use wasmtime::Module;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre as AsyncServicePre;

use crate::code::engine::{Engine, Profile};
use crate::code::shortage::{Shortage, errno};
use crate::preflight::shape::{Abi, Refusal, Shape};
use crate::wasi::fetch::FETCH;
use crate::wasi::lifecycle::{self, HookIndices};
use crate::wasi::web::{self, WebIndices};
use crate::wasi::worker::bindings::ServiceIndices;
use crate::wasi::world::World;

/// A compiled and linked component. Instantiating it takes microseconds.
pub struct Loaded {
    /// The description of the file.
    pub shape: Shape,
    /// The kind that it runs as.
    pub kind: ComponentKind,
    /// The compiler configuration.
    pub profile: Profile,
    /// The size of its native code, and the time that it took.
    pub compiled: CompiledSize,
    pub(crate) code: Code,
    /// The file that an out-of-process run loads. Kept for commands only.
    pub(crate) native: Option<CompiledFile>,
}

impl Loaded {
    /// Returns true if the component imports only WASI and `fetch`, so that it can run without the
    /// host if it may not send requests.
    pub(crate) fn can_do_without_host(&self) -> bool {
        let mut names = self.shape.imports.iter().map(|import| &import.name.name);
        self.native.is_some() && names.all(|name| name.starts_with("wasi") || name == FETCH)
    }

    /// Returns true if the component handles HTTP requests with whole bodies, by
    /// [`Instance::respond_whole`](crate::Instance::respond_whole).
    pub fn takes_whole_bodies(&self) -> bool {
        matches!(self.code, Code::Web(_))
    }

    /// Returns true if an instance can handle several HTTP requests at once, by
    /// [`Instance::respond_to_group`](crate::Instance::respond_to_group).
    pub fn handles_several(&self) -> bool {
        matches!(self.code, Code::AsyncHttp(_))
    }

    /// Returns true if the component can send HTTP requests.
    pub(crate) fn sends_requests(&self) -> bool {
        let mut names = self.shape.imports.iter().map(|import| &import.name.name);
        names.any(|name| name.starts_with("wasi:http/") || name == FETCH)
    }
}

/// The kinds of code that can be instantiated.
pub(crate) enum Code {
    Service(ServiceCode),
    Command(CommandPre<World>),
    AsyncCommand(AsyncCommand),
    Http(ProxyPre<World>),
    Web(WebCode),
    AsyncHttp(AsyncServicePre<World>),
    Module(wasmtime::InstancePre<World>),
}

/// A service and the indices of its exports.
pub(crate) struct ServiceCode {
    pub(crate) pre: InstancePre<World>,
    pub(crate) handler: ServiceIndices,
    pub(crate) hooks: Option<HookIndices>,
}

/// An HTTP guest that takes whole bodies, and the index of its export.
pub(crate) struct WebCode {
    pub(crate) pre: InstancePre<World>,
    pub(crate) web: WebIndices,
}

impl ServiceCode {
    fn new(pre: InstancePre<World>) -> wasmtime::Result<Self> {
        let handler = ServiceIndices::new(&pre)?;
        let hooks = lifecycle::find(&pre)?;
        Ok(Self { pre, handler, hooks })
    }
}

/// A command of WASI 0.3 and its entry function.
pub(crate) struct AsyncCommand {
    pub(crate) pre: InstancePre<World>,
    pub(crate) run: ComponentExportIndex,
}

impl AsyncCommand {
    /// Finds the entry function, if there is one.
    fn find(pre: &InstancePre<World>) -> Option<Self> {
        let component = pre.component();
        let interface = component.get_export_index(None, "wasi:cli/run@0.3.0")?;
        let run = component.get_export_index(Some(&interface), "run")?;
        Some(Self { pre: pre.clone(), run })
    }
}

/// The handler of requests of WASI 0.3.
const HANDLER_0_3: &str = "wasi:http/handler@0.3.0";

fn exports(pre: &InstancePre<World>, name: &str) -> bool {
    pre.component().get_export_index(None, name).is_some()
}

/// The source of native code.
#[derive(Debug)]
pub enum CompileOutcome {
    /// It was in the cache, or in use.
    Hit,
    /// Another process compiled it meanwhile.
    Shared {
        /// The time of the wait for it.
        waited: Duration,
    },
    /// It was compiled.
    Miss {
        /// The time of the wait for another process, which did not compile it after all.
        waited: Duration,
        /// The time that it took.
        took: Duration,
        /// `Ok` if the next run will find it in the cache.
        kept: Result<(), Unkept>,
    },
}

/// The reason that native code was not cached. The component runs all the same.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    /// There is no cache directory.
    #[error("there is no cache directory")]
    NoCache,
    /// The cache directory cannot be used.
    #[error("the cache directory cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// The reason that a component cannot be instantiated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The types do not match.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine did not take the native code, which our own compiler wrote for it.
    #[error("{0}")]
    Engine(String),
    /// A shortage on the host.
    #[error(transparent)]
    Shortage(#[from] Shortage),
}

/// Formats an error without the messages that contain a path of this process.
fn reason(error: &wasmtime::Error, path: &str) -> String {
    let words = error.chain().map(ToString::to_string).filter(|words| !words.contains(path));
    words.collect::<Vec<_>>().join(": ")
}

/// Loads and links native code.
pub(crate) fn link(
    engine: &Engine,
    abi: Abi,
    kind: ComponentKind,
    native: &File,
) -> Result<Code, LinkError> {
    // wasmtime opens files only by path. This path refers to the verified descriptor itself.
    let path = format!("/proc/self/fd/{}", native.as_raw_fd());
    let or = |error: wasmtime::Error, other: fn(String) -> LinkError| {
        // The engine's own message contains that path.
        let shortage = Shortage::of_engine(&error).map(LinkError::Shortage);
        shortage.unwrap_or_else(|| other(reason(&error, &path)))
    };
    // Only what a component is linked with depends on its bytes. The rest is the host's fault.
    let fault = |error| or(error, LinkError::Engine);
    let refuse = |error| or(error, |why| Refusal::Link(why).into());
    let native = Native { file: native, path: Path::new(&path) };
    match abi {
        Abi::Component => {
            let component = native.component(&engine.wasmtime).map_err(fault)?;
            let linker = engine.components().map_err(fault)?;
            let pre = linker.instantiate_pre(&component).map_err(refuse)?;
            match kind {
                ComponentKind::Service => ServiceCode::new(pre).map(Code::Service).map_err(refuse),
                // A component for hosts of both versions has two. The newer one is meant.
                ComponentKind::Command => match AsyncCommand::find(&pre) {
                    Some(command) => Ok(Code::AsyncCommand(command)),
                    None => CommandPre::new(pre).map(Code::Command).map_err(refuse),
                },
                ComponentKind::Http => http_code(pre).map_err(refuse),
            }
        }
        Abi::Preview1 => {
            let module = native.module(&engine.wasmtime).map_err(fault)?;
            let linker = engine.modules().map_err(fault)?;
            Ok(Code::Module(linker.instantiate_pre(&module).map_err(refuse)?))
        }
    }
}

/// Returns the code of an HTTP guest, which has one of these exports.
fn http_code(pre: InstancePre<World>) -> wasmtime::Result<Code> {
    match web::find(&pre)? {
        Some(web) => Ok(Code::Web(WebCode { pre, web })),
        None if exports(&pre, HANDLER_0_3) => AsyncServicePre::new(pre).map(Code::AsyncHttp),
        None => ProxyPre::new(pre).map(Code::Http),
    }
}

/// A verified file of native code, and its path in this process.
struct Native<'a> {
    file: &'a File,
    path: &'a Path,
}

impl Native<'_> {
    fn component(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        #[expect(unsafe_code, reason = "loads native code")]
        // SAFETY: Skep's own compiler wrote the file for this engine's hash. Its digest was checked
        // through this descriptor and nothing truncates it in place, or it is sealed memory of this
        // process.
        unsafe {
            match Component::deserialize_file(engine, self.path) {
                Err(error) if is_unmappable(&error) => {
                    Component::deserialize(engine, self.bytes()?)
                }
                done => done,
            }
        }
    }

    fn module(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Module> {
        #[expect(unsafe_code, reason = "loads native code")]
        // SAFETY: as above.
        unsafe {
            match Module::deserialize_file(engine, self.path) {
                Err(error) if is_unmappable(&error) => Module::deserialize(engine, self.bytes()?),
                done => done,
            }
        }
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.file;
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Returns true if the file could not be mapped as code: there is no `/proc`, or it is on a file
/// system mounted noexec. Its bytes can still be loaded.
fn is_unmappable(error: &wasmtime::Error) -> bool {
    let unmappable = |errno| matches!(errno, Errno::NOENT | Errno::ACCESS | Errno::PERM);
    error.chain().filter_map(errno).any(unmappable)
}
