//! A run before its guest starts: the component, its limits, its directories and its input.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use skep_protocol::{ComponentKind, Limits, Payload};
use skep_sandbox::{Outbound, Sandbox, SandboxParts, Wasi03};

use super::args::RunArgs;
use super::cargo;
use super::dirs::{OutPlan, RunDirs};
use super::env::Environment;
use super::explain::Explained;
use super::millis::millis;
use super::watch::Watch;
use crate::report::RunReport;
use crate::source::{NamedSource, NoWriter, ReadComponent};
use crate::{ambient, child, terminal};

/// A run whose command line was checked and whose component was read.
pub(super) struct PreparedRun {
    pub(super) arguments: RunArgs,
    pub(super) limits: Limits,
    /// The bytes of the component, until it is loaded.
    pub(super) component: ReadComponent,
    pub(super) name: String,
    /// The guest's arguments; the first is its name.
    pub(super) args: Vec<String>,
    /// The guest's environment.
    pub(super) env: Vec<(String, String)>,
    pub(super) sandbox: Sandbox,
    pub(super) dirs: RunDirs,
    pub(super) report: RunReport,
}

impl PreparedRun {
    /// Reads the component and checks the whole command line, before anything is compiled or run.
    pub(super) async fn prepare(
        mut arguments: RunArgs,
        limits: Limits,
        watch: &mut Watch,
    ) -> Result<Self, Explained> {
        let mut environment = Environment::of(&arguments.guest).map_err(Explained::error)?;
        if arguments.cargo {
            cargo::prepare(&mut arguments, &mut environment).map_err(Explained::error)?;
        }
        if let Some(path) = &arguments.guest.workdir {
            environment.set_default("PWD", path.clone());
        }
        let name = file_name(&arguments.component);
        let args = std::mem::take(&mut arguments.args);
        let args = guest_args(arguments.guest.argv0.as_deref().unwrap_or(&name), args);
        let args = args.map_err(Explained::error)?;
        let component = NamedSource::from(arguments.component.clone());
        if let Some(input) = arguments.input.clone().map(NamedSource::from) {
            if input.is_standard_input() && component.is_standard_input() {
                let message = "standard input cannot be both the component and the input";
                return Err(Explained::error(message.into()));
            }
            input.check()?;
        }
        if let Some(stdin) = arguments.stdin.clone().map(NamedSource::from) {
            if arguments.input.is_some() {
                let message = "--stdin is for commands and --input for services; give one of them";
                return Err(Explained::error(message.into()));
            }
            stdin.check()?;
        }
        let began = Instant::now();
        let component = watch
            .over_blocking(watch.deadline(), move || {
                component.read_component(limits.component_bytes)
            })
            .await
            .map_err(|reason| Explained::interrupted(reason, &limits))??;
        let mut report = RunReport::default();
        report.timing.load_ms = millis(began.elapsed());
        let sandbox = sandbox(limits, arguments.guest.wasi_0_3.into()).map_err(Explained::error)?;
        // An archive takes a while.
        let open = move || {
            let out = OutPlan { to: &arguments.out, keep: arguments.keep_out };
            let dirs = RunDirs::open(&arguments.guest, out, &limits);
            (arguments, dirs)
        };
        let (arguments, dirs) = watch
            .over_blocking(None, open)
            .await
            .map_err(|reason| Explained::interrupted(reason, &limits))?;
        let dirs = dirs.map_err(Explained::error)?;
        let env = environment.into_pairs();
        Ok(Self { arguments, limits, component, name, args, env, sandbox, dirs, report })
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
        if kind == ComponentKind::Service && self.arguments.stdin.is_some() {
            let message = "--stdin is for commands; a service takes its input from --input";
            return Err(Explained::error(message.into()));
        }
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

/// Returns the guest's arguments, its name first. WASI defines them as UTF-8.
pub(crate) fn guest_args(name: &str, words: Vec<OsString>) -> Result<Vec<String>, String> {
    let mut args = vec![name.to_owned()];
    for word in words {
        args.push(word.into_string().map_err(|word| {
            format!("argument {} of the guest, {word:?}, is not UTF-8", args.len())
        })?);
    }
    Ok(args)
}

/// Starts the sandbox of a process that runs one guest.
fn sandbox(limits: Limits, wasi_0_3: Wasi03) -> Result<Sandbox, String> {
    let cache = ambient::compiled_cache().inspect_err(|error| warn_uncached(error));
    let parts = SandboxParts {
        cores: 1,
        workers: 1,
        compiler: Arc::new(child::compiler()),
        cache: cache.ok(),
        incremental: child::known_functions(),
        limits,
        outbound: Outbound::default(),
        wasi_0_3,
    };
    Sandbox::start(parts).map_err(|error| format!("cannot start the sandbox: {error}"))
}

/// Tells the operator that the next run will compile the component again.
pub(crate) fn warn_uncached(reason: &dyn std::fmt::Display) {
    terminal::say("note", &format!("the compiled code is not cached: {reason}"));
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
