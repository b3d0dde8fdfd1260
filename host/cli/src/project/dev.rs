//! `skep dev`: a project's worker on a host of its own, updated at every change of the source.

use std::time::{Duration, Instant};

use clap::Args;
use skep_api::Surface;
use skep_project::{Builder, Kind, Manifest, Project};
use skep_protocol::{Rights, RuntimeId, Workers};

use super::console_input::{self, TypedLine};
use super::dev_host::{DevWorker, Way, app_place, app_scope, limits_differ};
use super::dev_output::{DevOutput, manifest_lines};
use super::dev_site;
use super::watch::SourceWatcher;
use super::{ProjectFlag, prepare};
use crate::failure::Failed;
use crate::hosting::{HostReach, NativeCode, ServingHost};
use crate::output::OutputFormat;
use crate::settings::{LocationArgs, ScopeSetting, Settings};
use crate::terminal::Spinner;
use crate::{ambient, terminal};

/// Run a project's worker, and update it at every change of the source, with its state kept
#[derive(Args)]
#[command(after_help = "\
Examples:
  skep dev
  skep dev --exact          build and compile the component at each change, as it will be shipped
  skep dev --fresh          begin with an empty state

While it runs: a typed line is an input, g grants what was denied last, r builds again.
JavaScript and Python run by a runner that evaluates the source: nothing is compiled at a change.
A worker of the kind web is built at each change, and has a site on this machine.")]
pub(crate) struct DevArgs {
    /// Build and compile the component at each change, in place of the language's runner
    #[arg(long)]
    exact: bool,

    /// Remove the worker of earlier sessions, with its state, files and transcript
    #[arg(long)]
    fresh: bool,

    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: String,

    /// Format of the message that announces the host
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,

    #[command(flatten)]
    project: ProjectFlag,
}

/// Runs the subcommand and returns the exit code.
pub(crate) fn dev(arguments: &DevArgs) -> u8 {
    let developed = || -> Result<(), Failed> {
        let builder = prepare(arguments.project.find()?)?;
        ambient::raise_descriptors();
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let developed = threads.block_on(develop(arguments, builder));
        threads.shutdown_timeout(Duration::from_millis(100));
        developed
    };
    developed().map_or_else(|failed| failed.show(arguments.output), |()| 0)
}

async fn develop(arguments: &DevArgs, builder: Builder) -> Result<(), Failed> {
    let private = builder.project().private();
    if arguments.fresh {
        remove_store(&private.join("dev"))?;
    }
    let settings = settings(arguments, &builder)?;
    let id: RuntimeId = "dev".parse().map_err(|error| Failed::internal(format!("{error}")))?;
    let code = NativeCode::of_author();
    let host =
        ServingHost::start_with(settings, Some(id), Surface::Browser, HostReach::port(), code)
            .await?;
    host.announce(arguments.output)?;
    let worker = DevWorker::find(host.runtime(), &builder, way(arguments, &builder)).await?;
    let output = DevOutput::default();
    let mut session = DevSession { builder, worker, output, followed: false, site: None };
    tokio::select! {
        served = host.run() => served,
        ended = session.run() => ended,
    }
}

fn way(arguments: &DevArgs, builder: &Builder) -> Way {
    let manifest = builder.project().manifest();
    let may_run = manifest.lang.has_runner() && manifest.kind == Kind::Service;
    match may_run && manifest.build.command.is_empty() && !arguments.exact {
        true => Way::Runner,
        false => Way::Exact,
    }
}

fn settings(arguments: &DevArgs, builder: &Builder) -> Result<Settings, Failed> {
    let private = builder.project().private();
    let location = LocationArgs {
        store: Some(private.join("dev/store")),
        workspace: Some("dev".parse().map_err(|error| Failed::internal(format!("{error}")))?),
        settings: None,
    };
    let mut settings = Settings::gather(&location, Some(&arguments.listen))?;
    if builder.project().manifest().wasi_0_3 {
        settings.runtime.turn_wasi_0_3_on();
    }
    let path = app_place(&private);
    std::fs::create_dir_all(&path)?;
    settings.scopes.insert(app_scope(), ScopeSetting { path, rights: Rights::ReadOnly });
    Ok(settings)
}

fn remove_store(folder: &std::path::Path) -> Result<(), Failed> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failed::here(format!("cannot remove {}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

/// A session, from its start to Ctrl-C.
struct DevSession {
    builder: Builder,
    worker: DevWorker,
    output: DevOutput,
    /// True once the worker's transcript is being printed.
    followed: bool,
    /// The URL of an HTTP worker, once it exists.
    site: Option<String>,
}

impl DevSession {
    async fn run(&mut self) -> Result<(), Failed> {
        // Watching begins before the first build, so that no change is missed.
        let mut watcher = SourceWatcher::start(self.builder.project().root())?;
        let mut lines = console_input::read();
        self.deploy().await;
        self.show_next_steps();
        let mut has_lines = true;
        loop {
            tokio::select! {
                changed = watcher.next() => {
                    changed?;
                    self.reload();
                    self.deploy().await;
                }
                line = lines.recv(), if has_lines => match line {
                    Some(line) => self.obey(line).await,
                    None => has_lines = false,
                },
            }
        }
    }

    fn show_next_steps(&self) {
        let Some(worker) = self.worker.id() else { return };
        if self.is_web() {
            return;
        }
        let store = self.builder.project().private().join("dev/store");
        let store = skep_protocol::flags::quoted(&store.display().to_string());
        terminal::say("worker", &format!("{worker}; type a line to send it as an input"));
        let name = &self.builder.project().manifest().name;
        terminal::say("or", &format!("skep worker send --store {store} {name} hello"));
    }

    /// Builds and updates. A failure leaves the old version running.
    async fn deploy(&mut self) {
        let began = Instant::now();
        let deployed = {
            let name = &self.builder.project().manifest().name;
            let _spinner = Spinner::after_a_while(format!("building {name}"));
            self.worker.deploy(&self.builder).await
        };
        match deployed {
            Ok(true) => {
                let took = began.elapsed().as_millis();
                terminal::say("updated", &format!("in {took} ms"));
                self.follow().await;
            }
            Ok(false) => self.follow().await,
            Err(failed) => {
                failed.show(OutputFormat::Text);
                if self.worker.id().is_some() {
                    terminal::say("note", "the previous version keeps running");
                }
            }
        }
    }

    fn is_web(&self) -> bool {
        self.builder.project().manifest().kind == Kind::Web
    }

    /// Starts printing the transcript, from its present end on, and the site of an HTTP worker.
    async fn follow(&mut self) {
        let Some(worker) = self.worker.id().filter(|_| !self.followed) else { return };
        self.followed = true;
        let runtime = self.worker.runtime.clone();
        if self.is_web() {
            match dev_site::start(runtime.clone(), worker).await {
                Ok(url) => {
                    terminal::say("site", &url);
                    self.site = Some(url);
                }
                Err(failed) => drop(failed.show(OutputFormat::Text)),
            }
        }
        let Ok(view) = runtime.get(worker).await else { return };
        if limits_differ(&self.builder, &view) {
            terminal::say("note", "the limits in skep-worker.toml take effect with --fresh");
        }
        tokio::spawn(self.output.clone().follow(runtime, worker));
    }

    /// Reads the manifest again, which may be what changed.
    fn reload(&mut self) {
        let root = self.builder.project().root().to_path_buf();
        match Project::open(&root) {
            Ok(project) if project.manifest() == self.builder.project().manifest() => {}
            Ok(project) => match prepare(project) {
                Ok(builder) => self.builder = builder,
                Err(failed) => drop(failed.show(OutputFormat::Text)),
            },
            Err(error) => drop(Failed::from(error).show(OutputFormat::Text)),
        }
    }

    async fn obey(&mut self, line: TypedLine) {
        let obeyed = match line {
            TypedLine::Help => {
                let rest = if self.is_web() { "" } else { ", else an input" };
                let keys = format!("g grant what was denied last, r build again{rest}");
                terminal::say("keys", &keys);
                Ok(())
            }
            TypedLine::Input(_) if self.is_web() => {
                let url = self.site.as_deref().unwrap_or("its site");
                Err(Failed::here(format!("an HTTP worker takes no inputs; send {url} a request")))
            }
            TypedLine::Rebuild => {
                self.deploy().await;
                Ok(())
            }
            TypedLine::Grant => self.grant().await,
            TypedLine::Input(text) => self.worker.send(text).await,
        };
        if let Err(failed) = obeyed {
            failed.show(OutputFormat::Text);
        }
    }

    /// Adds what was denied last to the manifest. The watcher sees the change and updates.
    async fn grant(&mut self) -> Result<(), Failed> {
        let Some(grants) = self.output.take_denied().await else {
            return Err(Failed::here("nothing was denied since the last grant"));
        };
        let path = self.builder.project().root().join(skep_project::MANIFEST);
        Manifest::add_grants(&path, &grants)?;
        terminal::say("granted", &manifest_lines(&grants).join(", "));
        Ok(())
    }
}
