//! A run before its guest starts: the component, its limits, its directories and its input.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_protocol::limits::OFF;
use skep_protocol::{ComponentKind, Limits, Payload};
use skep_sandbox::{Outbound, Sandbox, SandboxParts};

use super::args::RunArgs;
use super::dirs::RunDirs;
use super::explain::Explained;
use super::watch::Watch;
use crate::report::RunReport;
use crate::source::{NamedSource, NoWriter};
use crate::{ambient, child, terminal};

/// A run whose command line was checked and whose component was read.
pub(super) struct PreparedRun {
    pub(super) arguments: RunArgs,
    pub(super) limits: Limits,
    /// The bytes of the component, until it is loaded.
    pub(super) wasm: Vec<u8>,
    pub(super) name: String,
    /// The guest's arguments; the first is its name.
    pub(super) args: Vec<String>,
    pub(super) sandbox: Sandbox,
    pub(super) dirs: RunDirs,
    pub(super) report: RunReport,
}

impl PreparedRun {
    /// Reads the component and checks the whole command line, before anything is compiled or run.
    pub(super) async fn prepare(
        mut arguments: RunArgs,
        watch: &mut Watch,
    ) -> Result<Self, Explained> {
        let limits = limits(&arguments);
        let name = file_name(&arguments.component);
        let args = guest_args(&name, std::mem::take(&mut arguments.args));
        let args = args.map_err(Explained::error)?;
        let component = NamedSource::from(arguments.component.clone());
        if let Some(input) = arguments.input.clone().map(NamedSource::from) {
            if input.is_standard_input() && component.is_standard_input() {
                let message = "standard input cannot be both the component and the input";
                return Err(Explained::error(message.into()));
            }
            input.check()?;
        }
        let wasm = watch
            .over_blocking(watch.deadline(), move || {
                component.read(NoWriter::Refuse, limits.component_bytes)
            })
            .await
            .map_err(|reason| Explained::interrupted(reason, &limits))??;
        let sandbox = sandbox(limits).map_err(Explained::error)?;
        let dirs = RunDirs::open(&arguments, &limits).map_err(Explained::error)?;
        let report = RunReport::default();
        Ok(Self { arguments, limits, wasm, name, args, sandbox, dirs, report })
    }

    /// Reads the input of a service. A command has none.
    pub(super) async fn input(
        &self,
        kind: ComponentKind,
        watch: &mut Watch,
        deadline: Option<Instant>,
    ) -> Result<Option<Payload>, Explained> {
        let source = self.arguments.input.clone().map(NamedSource::from);
        let content_type = self.arguments.content_type.clone();
        if kind != ComponentKind::Service && content_type.is_some() {
            let message =
                "--content-type is for services; a command takes arguments and standard input";
            return Err(Explained::error(message.into()));
        }
        let body = match (kind, source) {
            (ComponentKind::Service, None) => Vec::new(),
            (ComponentKind::Service, Some(source)) => {
                let limit = self.limits.input_bytes;
                let read = move || source.read(NoWriter::Wait, limit);
                let read = watch.over_blocking(deadline, read).await;
                read.map_err(|reason| Explained::interrupted(reason, &self.limits))??
            }
            (_, None) => return Ok(None),
            (_, Some(_)) => {
                let message = "--input is for services; a command reads its standard input";
                return Err(Explained::error(message.into()));
            }
        };
        let content_type = content_type.unwrap_or_else(|| "application/octet-stream".into());
        Ok(Some(Payload { content_type, body: body.into() }))
    }
}

fn limits(arguments: &RunArgs) -> Limits {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(OFF);
    let defaults = Limits::default();
    let mut limits = Limits {
        memory_bytes: arguments.memory.unwrap_or(defaults.memory_bytes),
        disk_bytes: arguments.disk.unwrap_or(defaults.disk_bytes),
        fuel: arguments.fuel.unwrap_or(OFF),
        turn_deadline_ms: arguments.timeout.map_or(OFF, millis),
        // Half of the descriptors stay free for compiling and for copying results.
        open_descriptors: defaults.open_descriptors.min(ambient::raise_descriptors() / 2),
        ..defaults
    };
    if let Some(timeout) = arguments.compile_timeout {
        limits.set_compile_timeout(millis(timeout));
    }
    limits
}

/// Returns the guest's arguments, its name first. WASI defines them as UTF-8.
fn guest_args(name: &str, words: Vec<OsString>) -> Result<Vec<String>, String> {
    let mut args = vec![name.to_owned()];
    for word in words {
        args.push(word.into_string().map_err(|word| {
            format!("argument {} of the guest, {word:?}, is not UTF-8", args.len())
        })?);
    }
    Ok(args)
}

/// Starts the sandbox of a process that runs one guest.
fn sandbox(limits: Limits) -> Result<Sandbox, String> {
    let cache = ambient::compiled_cache().inspect_err(|error| warn_uncached(error));
    let parts = SandboxParts {
        cores: 1,
        workers: 1,
        compiler: Arc::new(child::compiler()),
        cache: cache.ok(),
        incremental: child::known_functions(),
        limits,
        outbound: Outbound::default(),
    };
    Sandbox::start(parts).map_err(|error| format!("cannot start the sandbox: {error}"))
}

/// Tells the operator that the next run will compile the component again.
pub(super) fn warn_uncached(reason: &dyn std::fmt::Display) {
    terminal::say("note", &format!("the compiled code is not cached: {reason}"));
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
