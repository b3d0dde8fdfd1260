//! The description of a file without compiling it: kind, digest, imports, exports, and whether it
//! can run.
//!
//! The bytes are untrusted. One streaming pass reads section headers and the outermost names. It
//! does not recurse, and allocates no more than in proportion to the file's size. The compiler
//! child checks later whether the code is valid.

// The paths are explicit because the fuzz targets include this file.
#[path = "shape/async_abi.rs"]
mod async_abi;
#[path = "shape/functions.rs"]
mod functions;

use std::fmt;

use sha2::{Digest, Sha256};
use skep_protocol::limits::OFF;
use skep_protocol::text::brief;
use skep_protocol::{ComponentDigest, ComponentKind, LimitName, Limits};
use wasmparser::{Encoding, Parser, Payload};

use crate::preflight::census::{Census, Counter, MEMORY_BYTES, TABLE_ELEMENTS};
use crate::preflight::interfaces::{
    self, InterfaceName, MissingInterface, Offer, PREVIEW1, WASI_0_3_SWITCH, Wasi03,
};
use crate::preflight::proposals::ASYNC;
use functions::{Functions, START};

/// The binary format of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// A component.
    Component,
    /// A core module that imports `wasi_snapshot_preview1`.
    Preview1,
}

impl Abi {
    /// Returns the name on the compiler's command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Preview1 => "module",
        }
    }

    /// Parses the name from the compiler's command line.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Component, Self::Preview1].into_iter().find(|abi| abi.as_str() == word)
    }
}

/// The description of a wasm file.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The digest, which identifies the file.
    pub digest: ComponentDigest,
    /// The size of the file.
    pub bytes: u64,
    /// The size of its code sections, including nested ones.
    pub code_bytes: u64,
    /// The binary format.
    pub abi: Abi,
    /// The kind according to its exports. `None` if it exports nothing that Skep can call.
    pub kind: Option<ComponentKind>,
    /// The imports, in the file's order.
    pub imports: Vec<Import>,
    /// The names of the exports, in the file's order.
    pub exports: Vec<String>,
    /// True if it uses the async ABI of components.
    pub is_async: bool,
    /// True if a module's `_start` has parameters or results.
    pub start_has_types: bool,
    /// A preview1 function that it imports with a wrong type.
    pub misfit: Option<String>,
    /// The number of declared locals. Four bytes can declare fifty thousand.
    pub locals: u64,
    /// The allocations of one instantiation.
    pub census: Census,
    /// True if it has DWARF with source lines.
    pub has_lines: bool,
}

/// One import and its offer.
#[derive(Clone, Debug)]
pub struct Import {
    /// Interface and version. For a module: `wasi_snapshot_preview1.function`.
    pub name: InterfaceName,
    /// The offer, or the reason that there is none. Preview1 functions have no offer of their own.
    pub found: Result<Option<&'static Offer>, MissingInterface>,
}

/// The reason that a file cannot run. Each message states the problem and the next step.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// An empty file.
    #[error("the file is empty")]
    Empty,
    /// Native code that wasmtime compiled.
    #[error(
        "this is native code that wasmtime compiled (.cwasm). Skep loads only code that it compiled \
         itself: pass the original .wasm"
    )]
    Precompiled,
    /// Another native program.
    #[error("this is a native program (ELF), not WebAssembly: build it for wasm32-wasip2")]
    NativeProgram,
    /// The text format.
    #[error("this is WebAssembly text: convert it to a binary first (`wasm-tools parse`)")]
    Text,
    /// Another format.
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    /// Malformed WebAssembly.
    #[error("this is not valid WebAssembly: {0}")]
    Malformed(String),
    /// `wasi_unstable`.
    #[error(
        "this module was built for `wasi_unstable`, the draft before WASI preview1: rebuild it with \
         a current toolchain for wasm32-wasip1 or wasm32-wasip2"
    )]
    WasiUnstable,
    /// Emscripten.
    #[error(
        "this module was built by Emscripten for a JavaScript host (it imports `{0}`): rebuild it \
         with a WASI toolchain, or with `-sSTANDALONE_WASM`"
    )]
    Emscripten(String),
    /// The target of wasm-bindgen, Go's js port and similar toolchains.
    #[error(
        "this module was built for a JavaScript host (it imports `{0}`): rebuild it for \
         wasm32-wasip1 or wasm32-wasip2"
    )]
    JavaScriptHost(String),
    /// Any other core module.
    #[error(
        "this core module imports functions of another host ({0}): Skep runs components and WASI \
         preview1 commands"
    )]
    CustomImports(String),
    /// A library module.
    #[error(
        "this core module exports no `_start`, so it is a library and not a command: build it as \
         a program, or turn it into a component (`wasm-tools component new`)"
    )]
    NoStart,
    /// A `_start` with a type that commands do not have.
    #[error(
        "this module's `_start` has parameters or results: build it as a command, whose `_start` has \
         none"
    )]
    StartType,
    /// A component with nothing to call.
    #[error(
        "this component exports nothing that Skep can call: it needs skep:worker/handler (a \
         service), wasi:cli/run (a command), or skep:worker/web or wasi:http/incoming-handler (an \
         http worker), and exports {0}"
    )]
    NothingToRun(String),
    /// A component that takes requests both with whole bodies and with streams.
    #[error(
        "this component exports both skep:worker/web and a handler of wasi:http, and a request goes \
         to one of them: leave one out"
    )]
    TwoHttpExports,
    /// Imports that are not offered.
    #[error("it imports interfaces that Skep does not offer: {0}")]
    Imports(MissingImports),
    /// It needs WASI 0.3 on a host where that is off.
    #[error("it needs WASI 0.3 ({0}), which is off: turn it on with {WASI_0_3_SWITCH}")]
    Wasi03Off(String),
    /// It needs WASI 0.3 in a repeatable run.
    #[error(
        "it needs WASI 0.3 ({0}), whose order of events no run repeats: run it without --deterministic \
         and without a limit on fuel"
    )]
    Wasi03Repeatable(String),
    /// A limit that is known before compilation.
    #[error(
        "limit {name}: {} of at most {}", name.unit().show(*found), name.unit().show(*limit)
    )]
    Limit {
        /// The limit.
        name: LimitName,
        /// The value in the file.
        found: u64,
        /// The allowed value.
        limit: u64,
    },
    /// The types do not match, although each interface is offered.
    #[error("its types do not match those that Skep offers: {0}")]
    Link(String),
}

/// The imports that have no offer.
#[derive(Clone, Debug)]
pub struct MissingImports(pub Vec<(InterfaceName, MissingInterface)>);

impl fmt::Display for MissingImports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, missing)) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            let name = name.to_string();
            let name = brief(&name, NAME);
            match missing {
                MissingInterface::Unknown => write!(f, "{separator}{name} (unknown)")?,
                MissingInterface::Version { have } => {
                    write!(f, "{separator}{name} (we have {have})")?
                }
            }
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The interface of a command, and that of a handler of HTTP requests since 0.3.
const RUN: &str = "wasi:cli/run";
const HANDLER: &str = "wasi:http/handler";

/// Returns true if a component with these exports handles several HTTP requests at once in one
/// instance, if it is asked to.
pub fn handles_several(exports: &[String]) -> bool {
    exports.iter().any(|name| InterfaceName::parse(name).matches(HANDLER, "0.3.0"))
}

/// Maximum names listed in an error.
const SHOWN: usize = 8;

/// Maximum characters of each name.
const NAME: usize = 200;

impl Shape {
    /// Reads a file. Fails if it can be neither run nor described.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        Self::read_known(bytes, None, limits)
    }

    /// Reads a file whose digest may be known.
    pub(crate) fn read_known(
        bytes: &[u8],
        digest: Option<ComponentDigest>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        if bytes.len() as u64 > limits.component_bytes {
            return Err(Refusal::Limit {
                name: LimitName::component_bytes,
                found: bytes.len() as u64,
                limit: limits.component_bytes,
            });
        }
        refuse_other_formats(bytes)?;
        let mut reader = ShapeReader::default();
        reader.walk(bytes).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let abi = match reader.encoding {
            Some(Encoding::Component) => Abi::Component,
            _ => Abi::Preview1,
        };
        let hash = || ComponentDigest::from_sha256(Sha256::digest(bytes).into());
        let digest = digest.unwrap_or_else(hash);
        let shape = Self {
            digest,
            bytes: bytes.len() as u64,
            code_bytes: reader.code_bytes,
            abi,
            kind: kind_of(abi, &reader.exports),
            imports: reader
                .imports
                .iter()
                .map(|(module, name)| import(abi, module, name))
                .collect(),
            exports: reader.exports,
            is_async: reader.is_async,
            start_has_types: reader.functions.start_has_types(),
            misfit: reader.functions.misfit(),
            locals: reader.locals,
            census: reader.census,
            has_lines: reader.has_lines,
        };
        if abi == Abi::Preview1 {
            refuse_other_modules(&reader.imports)?;
        }
        Ok(shape)
    }

    /// Returns what it uses of WASI 0.3: an interface, or the async ABI.
    pub fn needs_wasi_0_3(&self) -> Option<String> {
        let imports = self.imports.iter().find_map(|import| {
            let offer = import.found.ok()??;
            offer.is_wasi_0_3().then(|| import.name.to_string())
        });
        let interface = imports.or_else(|| {
            let exports = self.exports.iter().map(|name| InterfaceName::parse(name));
            let mut called = exports.filter(|name| {
                [RUN, HANDLER].into_iter().any(|called| name.matches(called, "0.3.0"))
            });
            called.next().map(|name| name.to_string())
        });
        let interface = interface.map(|name| brief(&name, NAME).into_owned());
        interface.or_else(|| self.is_async.then(|| ASYNC.to_owned()))
    }

    /// Checks if the file can run, and returns its kind.
    pub fn check(&self, limits: &Limits, wasi_0_3: Wasi03) -> Result<ComponentKind, Refusal> {
        let missing: Vec<_> = self
            .imports
            .iter()
            .filter_map(|import| Some((import.name.clone(), import.found.err()?)))
            .collect();
        if !missing.is_empty() {
            return Err(Refusal::Imports(MissingImports(missing)));
        }
        if wasi_0_3 == Wasi03::Off
            && let Some(what) = self.needs_wasi_0_3()
        {
            return Err(Refusal::Wasi03Off(what));
        }
        if let Some(name) = &self.misfit {
            return Err(Refusal::Link(format!("{PREVIEW1}.{name} has the wrong type")));
        }
        let locals = Some((LimitName::declared_locals, self.locals));
        let locals = locals.filter(|&(_, found)| found > limits.declared_locals);
        if let Some((name, found)) = self.census.exceeds(limits).or(locals) {
            return Err(Refusal::Limit { name, found, limit: limits.get(name) });
        }
        // The engine's pool limits each table and each memory, regardless of a worker's limits. An
        // engine with higher limits has no pool.
        for (name, found, pool) in [
            (LimitName::table_elements, self.census.largest_table, TABLE_ELEMENTS),
            (LimitName::memory_bytes, self.census.largest_memory, MEMORY_BYTES),
        ] {
            let limit = match limits.get(name) {
                OFF => pool,
                limit => limit.max(pool),
            };
            if found > limit {
                return Err(Refusal::Limit { name, found, limit });
            }
        }
        match self.kind {
            _ if self.start_has_types => Err(Refusal::StartType),
            Some(ComponentKind::Http) if is_ambiguous(&self.exports) => {
                Err(Refusal::TwoHttpExports)
            }
            Some(kind) => Ok(kind),
            None if self.abi == Abi::Preview1 => Err(Refusal::NoStart),
            None => Err(Refusal::NothingToRun(listed(self.exports.iter().map(String::as_str)))),
        }
    }
}

/// Returns the names of a valid component's imports and exports.
pub(crate) fn names(wasm: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut reader = ShapeReader::default();
    // This cannot fail: validation has read the whole file.
    let _ = reader.walk(wasm);
    (reader.imports.into_iter().map(|(_, name)| name).collect(), reader.exports)
}

/// Collects the contents of a file in one pass.
#[derive(Default)]
struct ShapeReader {
    encoding: Option<Encoding>,
    imports: Vec<(String, String)>,
    exports: Vec<String>,
    code_bytes: u64,
    locals: u64,
    census: Census,
    has_lines: bool,
    is_async: bool,
    functions: Functions,
}

impl ShapeReader {
    fn walk(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        let mut counter = Counter::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            if let Payload::CodeSectionStart { size, .. } = &payload {
                self.code_bytes += u64::from(*size);
            }
            if let Payload::CodeSectionEntry(body) = &payload {
                for group in body.get_locals_reader()? {
                    self.locals += u64::from(group?.0);
                }
            }
            if let Payload::CustomSection(section) = &payload {
                self.has_lines |= section.name() == ".debug_line";
            }
            self.is_async |= async_abi::is_used(&payload)?;
            if let Some(census) = counter.visit(&payload)? {
                self.census = census;
            }
            if counter.depth() != 1 {
                continue;
            }
            self.functions.visit(&payload)?;
            match payload {
                Payload::Version { encoding, .. } => self.encoding = Some(encoding),
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        self.imports.push((import.module.into(), import.name.into()));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        self.exports.push(export?.name.into());
                    }
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        self.imports.push((String::new(), import?.name.name.into()));
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        self.exports.push(export?.name.name.into());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn refuse_other_formats(bytes: &[u8]) -> Result<(), Refusal> {
    const ELF: &[u8] = b"\x7fELF";
    /// The ELF OS/ABI number of wasmtime's files.
    const ELFOSABI_WASMTIME: u8 = 200;
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if bytes.starts_with(ELF) {
        return Err(match bytes.get(7) {
            Some(&ELFOSABI_WASMTIME) => Refusal::Precompiled,
            _ => Refusal::NativeProgram,
        });
    }
    if !bytes.starts_with(b"\0asm") {
        let text = bytes.trim_ascii_start();
        let is_text =
            [&b"(module"[..], b"(component", b";;", b"(;"].iter().any(|p| text.starts_with(p));
        return Err(if is_text { Refusal::Text } else { Refusal::NotWasm });
    }
    Ok(())
}

fn refuse_other_modules(imports: &[(String, String)]) -> Result<(), Refusal> {
    let others: Vec<_> = imports
        .iter()
        .filter(|(module, _)| module != PREVIEW1)
        .map(|(m, n)| (&**m, &**n))
        .collect();
    let Some(&(module, name)) = others.first() else { return Ok(()) };
    if others.iter().any(|(module, _)| *module == "wasi_unstable") {
        return Err(Refusal::WasiUnstable);
    }
    let first = format!("{module}.{name}");
    let is_emscripten = |(module, name): &(&str, &str)| {
        *module == "env"
            && (name.starts_with("emscripten_")
                || name.starts_with("_emscripten_")
                || name.starts_with("__syscall_")
                || name.starts_with("invoke_")
                || *name == "abort"
                || *name == "__cxa_throw")
    };
    if others.iter().any(is_emscripten) {
        return Err(Refusal::Emscripten(first));
    }
    let is_javascript = |(module, name): &(&str, &str)| {
        matches!(*module, "gojs" | "go" | "wbg")
            || module.starts_with("./")
            || name.starts_with("__wbg")
    };
    if others.iter().any(is_javascript) {
        return Err(Refusal::JavaScriptHost(first));
    }
    let names: Vec<_> = others.iter().map(|(module, name)| format!("{module}.{name}")).collect();
    Err(Refusal::CustomImports(listed(names.iter().map(String::as_str))))
}

fn kind_of(abi: Abi, names: &[String]) -> Option<ComponentKind> {
    if abi == Abi::Preview1 {
        return names.iter().any(|name| name == START).then_some(ComponentKind::Command);
    }
    [
        (("skep:worker/handler", "0.1.0"), ComponentKind::Service),
        ((RUN, "0.3.0"), ComponentKind::Command),
        ((HANDLER, "0.3.0"), ComponentKind::Http),
        (WEB, ComponentKind::Http),
        (STREAMS, ComponentKind::Http),
        // The standard libraries of 0.2 export a `run` whether or not there is a program, and what
        // is built as a program has one for a handler, too.
        ((RUN, "0.2.12"), ComponentKind::Command),
    ]
    .into_iter()
    .find(|(wanted, _)| exports(names, wanted))
    .map(|(_, kind)| kind)
}

/// The export of an HTTP worker with whole bodies, and that of one of WASI 0.2.
const WEB: (&str, &str) = ("skep:worker/web", "0.1.0");
const STREAMS: (&str, &str) = ("wasi:http/incoming-handler", "0.2.12");

/// Returns true if a request could go to either of two exports that take it in different ways.
fn is_ambiguous(names: &[String]) -> bool {
    let has_streams = [STREAMS, (HANDLER, "0.3.0")].iter().any(|export| exports(names, export));
    exports(names, &WEB) && has_streams
}

/// Returns true if an interface is among the exports, in a compatible version.
fn exports(names: &[String], (interface, version): &(&str, &str)) -> bool {
    names.iter().any(|name| InterfaceName::parse(name).matches(interface, version))
}

fn import(abi: Abi, module: &str, name: &str) -> Import {
    match abi {
        Abi::Component => {
            let name = InterfaceName::parse(name);
            let found = interfaces::find(&name).map(Some);
            Import { name, found }
        }
        Abi::Preview1 => {
            let known = module == PREVIEW1 && interfaces::preview1(name).is_some();
            Import {
                name: InterfaceName { name: format!("{module}.{name}"), version: None },
                found: if known { Ok(None) } else { Err(MissingInterface::Unknown) },
            }
        }
    }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let total = names.len();
    let shown: Vec<_> = names.take(SHOWN).map(|name| brief(name, NAME)).collect();
    match (total, total.saturating_sub(SHOWN)) {
        (0, _) => "nothing".into(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
