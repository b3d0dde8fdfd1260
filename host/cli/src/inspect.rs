//! `skep inspect`: a component's kind, imports, exports and limits. The component is validated as
//! for a run, but not compiled or run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use skep_protocol::limits::OFF;
use skep_protocol::text::neutral;
use skep_protocol::{LimitName, Limits};
use skep_sandbox::interfaces::{Grant, MissingInterface, WASI_0_3_SWITCH};
use skep_sandbox::{
    Abi, CompileBounds, CompileError, CompileJob, Compiler, Import, Profile, Shape, Wasi03,
};

use crate::failure::Failed;
use crate::output::OutputFormat;
use crate::report::{ImportReport, InspectReport, LimitReport};
use crate::source::{NamedSource, NoWriter};
use crate::{child, exit, json, terminal};

/// Show a component's kind, imports and exports, and the limits that apply to it
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep inspect hello.wasm
  skep inspect --output json tool.wasm | jq '.imports[] | select(.status != \"offered\")'

Exit codes: 0 it can run   125 Skep failed or bad usage   126 it would be refused")]
pub(crate) struct InspectArgs {
    /// Format of the result
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,

    /// Examine it for a host that has turned WASI 0.3 on
    #[arg(long = "wasi-0.3")]
    wasi_0_3: bool,

    /// Component or WASI preview1 module: a file, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn inspect(arguments: &InspectArgs) -> u8 {
    let limits = Limits::default();
    let source = NamedSource::from(arguments.file.clone());
    let wasm = match source.read(NoWriter::Refuse, limits.component_bytes) {
        Ok(wasm) => wasm,
        Err(failed) => return failed.show(arguments.output),
    };
    let shape = match Shape::read(&wasm, &limits) {
        Ok(shape) => shape,
        Err(refusal) => {
            let message = neutral(&refusal.to_string()).to_string();
            return Failed::refused(message).show(arguments.output);
        }
    };
    let refusal = match refusal(&wasm, &shape, &limits, arguments.wasi_0_3.into()) {
        Ok(refusal) => refusal,
        Err(message) => return Failed::internal(message).show(arguments.output),
    };
    let code = if refusal.is_some() { exit::REFUSED } else { 0 };
    let shown = match arguments.output {
        OutputFormat::Text => text(&shape, refusal.as_deref(), &limits).into_bytes(),
        OutputFormat::Json => json::line(&report(&shape, refusal, &limits)),
    };
    terminal::conclude(terminal::print(&shown), code)
}

/// What an examination of a file found.
pub(crate) struct Inspected {
    pub(crate) digest: String,
    pub(crate) kind: Option<&'static str>,
    /// The reason that a run would refuse the component, if it would.
    pub(crate) refusal: Option<String>,
    pub(crate) needs_wasi_0_3: bool,
}

/// Examines a component as a run with this use of WASI 0.3 would.
pub(crate) fn inspect_file(path: &Path, wasi_0_3: Wasi03) -> Result<Inspected, Failed> {
    let limits = Limits::default();
    let source = NamedSource::from(path.to_path_buf());
    let wasm = source.read(NoWriter::Refuse, limits.component_bytes)?;
    let shape = Shape::read(&wasm, &limits)
        .map_err(|refusal| Failed::refused(neutral(&refusal.to_string()).to_string()))?;
    let refusal = refusal(&wasm, &shape, &limits, wasi_0_3).map_err(Failed::internal)?;
    let kind = shape.kind.map(|kind| kind.as_str());
    let needs_wasi_0_3 = shape.needs_wasi_0_3().is_some();
    Ok(Inspected { digest: shape.digest.to_string(), kind, refusal, needs_wasi_0_3 })
}

/// Returns the reason that a run would refuse the component, if it would. Fails if the compiling
/// child cannot tell.
fn refusal(
    wasm: &[u8],
    shape: &Shape,
    limits: &Limits,
    wasi_0_3: Wasi03,
) -> Result<Option<String>, String> {
    if let Err(refusal) = shape.check(limits, wasi_0_3) {
        return Ok(Some(refusal.to_string()));
    }
    // Full validation is costly and its input is untrusted, so it runs in the compiling child.
    let examined = child::compiler().compile(CompileJob {
        wasm,
        abi: shape.abi,
        profile: match shape.needs_wasi_0_3() {
            Some(_) => Profile::Concurrent,
            None => Profile::Default,
        },
        bounds: CompileBounds::of(limits, shape.code_bytes),
        out: None,
        functions: None,
    });
    match examined {
        Ok(()) => Ok(None),
        Err(error @ (CompileError::Shortage(_) | CompileError::Io(_))) => {
            Err(format!("cannot validate the code: {error}"))
        }
        Err(error) => Ok(Some(error.to_string())),
    }
}

fn report(shape: &Shape, refusal: Option<String>, limits: &Limits) -> InspectReport {
    InspectReport {
        digest: shape.digest,
        bytes: shape.bytes,
        code_bytes: shape.code_bytes,
        abi: abi(shape.abi),
        kind: shape.kind,
        runs: refusal.is_none(),
        refusal,
        wasi_0_3: shape.needs_wasi_0_3().is_some(),
        imports: shape.imports.iter().map(import).collect(),
        exports: shape.exports.clone(),
        locals: shape.locals,
        core_instances: shape.census.core_instances,
        memories: shape.census.memories,
        tables: shape.census.tables,
        limits: LimitName::ALL
            .iter()
            .map(|&name| LimitReport {
                name,
                value: Some(value(name, shape, limits)).filter(|&value| value != OFF),
                why: name.why(),
            })
            .collect(),
    }
}

fn abi(abi: Abi) -> &'static str {
    match abi {
        Abi::Component => "component",
        Abi::Preview1 => "preview1",
    }
}

fn import(import: &Import) -> ImportReport {
    let name = import.name.to_string();
    let (status, have, note) = match import.found {
        Ok(None) => ("offered", None, None),
        Ok(Some(offer)) => match offer.grant {
            Grant::Http | Grant::Sockets => {
                ("not_granted", Some(offer.version), offer.grant.note())
            }
            Grant::None | Grant::Directory => ("offered", Some(offer.version), offer.grant.note()),
        },
        Err(MissingInterface::Unknown) => ("unknown", None, Some("unknown to Skep")),
        Err(MissingInterface::Version { have }) => {
            ("other_version", Some(have), Some("not in this version"))
        }
    };
    ImportReport { name, status, have, note }
}

/// Returns the value of a limit for this component. One limit depends on the size of its code.
fn value(name: LimitName, shape: &Shape, limits: &Limits) -> u64 {
    match name {
        LimitName::compile_memory_bytes => limits.compile_memory_for(shape.code_bytes),
        name => limits.get(name),
    }
}

fn text(shape: &Shape, refusal: Option<&str>, limits: &Limits) -> String {
    let mut out = String::new();
    let kind = shape.kind.map_or("unknown", |kind| kind.as_str());
    let mut line = |text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{text}");
    };
    line(format!("digest   {}", shape.digest));
    line(format!("kind     {kind} ({})", abi(shape.abi)));
    line(format!("size     {} bytes, {} of them code", shape.bytes, shape.code_bytes));
    line(format!(
        "makes    {} core instances, {} memories, {} tables",
        shape.census.core_instances, shape.census.memories, shape.census.tables
    ));
    if let Some(what) = shape.needs_wasi_0_3() {
        line(format!("needs    WASI 0.3 ({}): turn it on with {WASI_0_3_SWITCH}", neutral(&what)));
    }
    line(match refusal {
        None => "runs     yes".into(),
        Some(refusal) => format!("runs     no: {}", neutral(refusal)),
    });
    line(format!("\nimports{}", if shape.imports.is_empty() { "  none" } else { "" }));
    for import in shape.imports.iter().map(import) {
        let note = match (import.note, import.have) {
            (None, _) => String::new(),
            (Some(note), Some(have)) if import.status == "other_version" => {
                format!("   {note}: Skep offers {have}")
            }
            (Some(note), _) => format!("   {note}"),
        };
        line(format!("  {}{note}", neutral(&import.name)));
    }
    line(format!("\nexports{}", if shape.exports.is_empty() { "  none" } else { "" }));
    for export in &shape.exports {
        line(format!("  {}", neutral(export)));
    }
    line("\nlimits".into());
    for &name in LimitName::ALL {
        let value = name.unit().show(value(name, shape, limits));
        line(format!("  {:<22} {value:>13}   {}", name.as_str(), name.why()));
    }
    out
}
