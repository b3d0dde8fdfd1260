//! What a file is, read without compiling it: kind, digest, imports, exports, and whether it can
//! run here.
//!
//! The bytes are a stranger's. One streaming pass looks at section headers and at the outermost
//! names; nothing recurses, nothing is allocated that the file's own size does not bound. Whether
//! the code inside is valid is for the compiler to find out, in its own process.

// With their paths, since the fuzz targets take this file for themselves.
#[path = "shape/callable.rs"]
mod callable;
#[path = "shape/functions.rs"]
mod functions;

use std::fmt;

use sha2::{Digest, Sha256};
use skep_protocol::text::brief;
use skep_protocol::{ComponentDigest, ComponentKind, LimitName, Limits};
use wasmparser::{Encoding, Parser, Payload};

use crate::preflight::census::{Census, Counter, TABLE_ELEMENTS};
use crate::preflight::interfaces::{self, InterfaceName, MissingInterface, Offer, PREVIEW1};
pub(crate) use callable::callable;
use functions::{Functions, START};

/// How the guest was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// A component.
    Component,
    /// A core module that imports `wasi_snapshot_preview1`.
    Preview1,
}

impl Abi {
    /// The word for it on the compiler's command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Preview1 => "module",
        }
    }

    /// The one with that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Component, Self::Preview1].into_iter().find(|abi| abi.as_str() == word)
    }
}

/// What a wasm file is.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name.
    pub digest: ComponentDigest,
    /// Its size.
    pub bytes: u64,
    /// The size of its code sections, nested ones included.
    pub code_bytes: u64,
    /// How it was built.
    pub abi: Abi,
    /// What it is by its exports; `None` if it exports nothing that Skep can call.
    pub kind: Option<ComponentKind>,
    /// What it imports, in its own order.
    pub imports: Vec<Import>,
    /// The names it exports, in its own order.
    pub exports: Vec<String>,
    /// Whether it has a `_start` of a module that takes or returns something.
    pub start_has_types: bool,
    /// A function of preview1 that it imports with another type than ours.
    pub misfit: Option<String>,
    /// Locals that its functions declare, summed. Fifty thousand of them fit into four bytes.
    pub locals: u64,
    /// What instantiating it allocates.
    pub census: Census,
}

/// One import, and whether we have it.
#[derive(Clone, Debug)]
pub struct Import {
    /// Interface and version; for a module, `wasi_snapshot_preview1.function`.
    pub name: InterfaceName,
    /// Our offer, or why there is none. A preview1 function has no entry of its own.
    pub found: Result<Option<&'static Offer>, MissingInterface>,
}

/// Why a file is not run. Each message stands alone: what is wrong, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Native code of wasmtime.
    #[error(
        "this is native code that wasmtime compiled (.cwasm). Skep loads only what it compiled \
         itself: pass the .wasm it was made from"
    )]
    Precompiled,
    /// Native code of another kind.
    #[error("this is a native program (ELF), not WebAssembly: build it for wasm32-wasip2")]
    NativeProgram,
    /// The text format.
    #[error("this is WebAssembly text: turn it into a binary first (`wasm-tools parse`)")]
    Text,
    /// Something else.
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    /// Broken somewhere.
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
    /// wasm-bindgen, Go's js target and the like.
    #[error(
        "this module was built for a JavaScript host (it imports `{0}`): rebuild it for \
         wasm32-wasip1 or wasm32-wasip2"
    )]
    JavaScriptHost(String),
    /// Any other core module.
    #[error(
        "this core module imports what only its own host has ({0}): Skep runs components and WASI \
         preview1 commands"
    )]
    CustomImports(String),
    /// A library.
    #[error(
        "this core module exports no `_start`, so it is a library and not a command: build it as \
         a program, or make a component of it (`wasm-tools component new`)"
    )]
    NoStart,
    /// A `_start` that is none of a command.
    #[error(
        "this module's `_start` takes or returns something, which Skep does not offer: a command's \
         takes nothing and returns nothing"
    )]
    StartType,
    /// A component with nothing to call.
    #[error(
        "this component exports nothing that Skep can call: it needs skep:worker/handler (a \
         service) or wasi:cli/run (a command), and exports {0}"
    )]
    NothingToRun(String),
    /// Kind http.
    #[error(
        "this is an http component (wasi:http/incoming-handler), which this version cannot run"
    )]
    HttpNotYet,
    /// Imports that we lack.
    #[error("it imports what Skep does not offer: {0}")]
    Imports(MissingImports),
    /// A limit that is known before compiling.
    #[error(
        "limit {name}: {} of at most {}", name.unit().show(*found), name.unit().show(*limit)
    )]
    Limit {
        /// Which.
        name: LimitName,
        /// How much it has.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The pieces do not fit together, although each interface is there.
    #[error("it does not fit what Skep offers: {0}")]
    Link(String),
}

/// The imports that could not be satisfied.
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

/// Names listed in an error at most.
const SHOWN: usize = 8;

/// Characters of each.
const NAME: usize = 200;

impl Shape {
    /// Reads a file. An error means that it can be neither run nor described.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Refusal> {
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
        let digest = ComponentDigest::from_sha256(Sha256::digest(bytes).into());
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
            start_has_types: reader.functions.start_has_types(),
            misfit: reader.functions.misfit(),
            locals: reader.locals,
            census: reader.census,
        };
        if abi == Abi::Preview1 {
            refuse_other_modules(&reader.imports)?;
        }
        Ok(shape)
    }

    /// Whether it can be run here, and as what.
    pub fn check(&self, limits: &Limits) -> Result<ComponentKind, Refusal> {
        let missing: Vec<_> = self
            .imports
            .iter()
            .filter_map(|import| Some((import.name.clone(), import.found.err()?)))
            .collect();
        if !missing.is_empty() {
            return Err(Refusal::Imports(MissingImports(missing)));
        }
        if let Some(name) = &self.misfit {
            return Err(Refusal::Link(format!("{PREVIEW1}.{name} has another type")));
        }
        let locals = Some((LimitName::declared_locals, self.locals));
        let locals = locals.filter(|&(_, found)| found > limits.declared_locals);
        if let Some((name, found)) = self.census.exceeds(limits).or(locals) {
            return Err(Refusal::Limit { name, found, limit: limits.get(name) });
        }
        // The engine's tables have room for so many, whatever a worker may have of them in all.
        let (name, found) = (LimitName::table_elements, self.census.largest_table);
        if found > TABLE_ELEMENTS {
            return Err(Refusal::Limit { name, found, limit: TABLE_ELEMENTS });
        }
        match self.kind {
            _ if self.start_has_types => Err(Refusal::StartType),
            Some(ComponentKind::Http) => Err(Refusal::HttpNotYet),
            Some(kind) => Ok(kind),
            None if self.abi == Abi::Preview1 => Err(Refusal::NoStart),
            None => Err(Refusal::NothingToRun(listed(self.exports.iter().map(String::as_str)))),
        }
    }
}

/// What one pass over a file finds.
#[derive(Default)]
struct ShapeReader {
    encoding: Option<Encoding>,
    imports: Vec<(String, String)>,
    exports: Vec<String>,
    code_bytes: u64,
    locals: u64,
    census: Census,
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
    /// The ELF OS/ABI number that wasmtime marks its files with.
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

fn kind_of(abi: Abi, exports: &[String]) -> Option<ComponentKind> {
    if abi == Abi::Preview1 {
        return exports.iter().any(|name| name == START).then_some(ComponentKind::Command);
    }
    [
        ("skep:worker/handler", "0.1.0", ComponentKind::Service),
        ("wasi:cli/run", "0.2.12", ComponentKind::Command),
        ("wasi:http/incoming-handler", "0.2.12", ComponentKind::Http),
    ]
    .into_iter()
    .find(|(name, version, _)| {
        exports.iter().any(|export| InterfaceName::parse(export).matches(name, version))
    })
    .map(|(.., kind)| kind)
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
