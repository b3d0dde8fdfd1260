//! `skep serve`: an HTTP component on a socket of this machine, until Ctrl-C.
//!
//! It is the one-shot sibling of an HTTP worker: the same lanes and the same front, and no store. The
//! component is compiled before the address is announced.

mod args;
mod guest_source;
mod line_log;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http_body_util::BodyExt;
use skep_api::{HttpService, ServerLimits};
use skep_lanes::{HttpPolicy, Lanes};
use skep_protocol::text::neutral;
use skep_protocol::{BodyCut, ComponentKind, Error, HttpAnswer, HttpRequest, LimitName, Limits};
use skep_sandbox::{Loaded, Outbound, Profile, Sandbox, SandboxParts, Wasi03};
use tokio::net::TcpListener;

pub(crate) use args::ServeArgs;
use guest_source::GuestSource;
use line_log::LineLog;

use crate::failure::Failed;
use crate::limit_arg::millis;
use crate::output::OutputFormat;
use crate::report::ServeReport;
use crate::run::dirs::{OutPlan, RunDirs};
use crate::run::env::Environment;
use crate::run::{explain, limits, prepare};
use crate::signals::Signals;
use crate::source::{NamedSource, ReadComponent};
use crate::terminal::Spinner;
use crate::{ambient, child, host_threads, json, terminal};

/// The time until the head of an answer, unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Requests that wait for others. There are no other guests to protect from them.
const QUEUE: u64 = 1_000;

/// Time that the last lines get to be printed.
const LINES_GRACE: Duration = Duration::from_secs(1);

/// Time that requests in flight get to end.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the subcommand and returns the exit code. `guest` holds the guest's arguments.
pub(crate) fn serve(arguments: ServeArgs, guest: Vec<OsString>) -> u8 {
    let output = arguments.output;
    let served = || -> Result<(), Failed> {
        ambient::raise_descriptors();
        let threads = host_threads::start()?;
        let served = threads.block_on(serve_until_stopped(arguments, guest));
        threads.shutdown_background();
        served
    };
    match served() {
        Ok(()) => 0,
        Err(failed) => failed.show(output),
    }
}

async fn serve_until_stopped(arguments: ServeArgs, guest: Vec<OsString>) -> Result<(), Failed> {
    let mut signals = Signals::take_over()?;
    let timeout = arguments.timeout.unwrap_or(TIMEOUT);
    let own = [(LimitName::turn_deadline_ms, "--timeout", arguments.timeout.map(millis))];
    let mut limits = limits::of_guest(&arguments.guest, &own).map_err(Failed::here)?;
    let is_set = |limit| arguments.guest.limit.iter().any(|(name, _)| *name == limit);
    if !is_set(LimitName::turn_deadline_ms) {
        limits.turn_deadline_ms = millis(timeout);
    }
    if !is_set(LimitName::http_queue) {
        limits.http_queue = QUEUE;
    }
    let policy = arguments.policy(&limits);
    let name = prepare::file_name(&arguments.component);
    let argv0 = arguments.guest.argv0.clone().unwrap_or_else(|| name.clone());
    let args = prepare::guest_args(&argv0, guest).map_err(Failed::here)?;
    let mut environment = Environment::of(&arguments.guest).map_err(Failed::here)?;
    if let Some(path) = &arguments.guest.workdir {
        environment.set_default("PWD", path.clone());
    }
    let stop = || Failed::here("stopped before it served a request");
    let source = NamedSource::from(arguments.component.clone());
    let read = move || source.read_component(limits.component_bytes);
    let component = tokio::select! {
        read = tokio::task::spawn_blocking(read) => read.expect("reading does not panic")?,
        _ = signals.next() => return Err(stop()),
    };
    let sandbox = sandbox(limits, policy, arguments.guest.wasi_0_3.into())?;
    let loading = load(sandbox.clone(), component, &name);
    let loaded = tokio::select! {
        loaded = loading => loaded?,
        _ = signals.next() => return Err(stop()),
    };
    if let Some(why) = HttpPolicy::refusal(policy.instances, loaded.handles_several()) {
        return Err(Failed::refused(why));
    }
    let dirs =
        RunDirs::open(&arguments.guest, OutPlan::default(), &limits).map_err(Failed::here)?;
    let listener = TcpListener::bind(&arguments.addr).await.map_err(|error| {
        Failed::here(format!("cannot listen on {}: {error}", arguments.addr))
            .hint("choose another address with --addr, or port 0 for any free one")
    })?;
    let address = listener.local_addr()?;
    let log = LineLog::start(arguments.output, arguments.quiet)?;
    let guests = sandbox.guests().clone();
    let source = GuestSource {
        sandbox,
        loaded: loaded.clone(),
        args,
        env: environment.into_pairs(),
        workdir: arguments.guest.workdir.clone(),
        config: Arc::new(arguments.guest.config.iter().cloned().collect()),
        allow_http: arguments.guest.allow_http.clone(),
        mounts: dirs.mounts.clone(),
        limits,
        log: log.clone(),
    };
    let lanes = Lanes::new(source, policy, guests);
    announce(&arguments, address, &loaded, policy)?;
    let router = skep_api::http_router(Arc::new(LanesService(lanes.clone())));
    let server_limits = ServerLimits { grace: GRACE, ..ServerLimits::default() };
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut serving = tokio::spawn(skep_api::serve(listener, router, server_limits, stopped));
    tokio::select! {
        ended = &mut serving => ended.map_err(|error| Failed::internal(error.to_string()))??,
        _ = signals.next() => {
            let (running, began) = (lanes.running(), Instant::now());
            terminal::say(
                "stopping",
                &format!("draining {running} requests; press Ctrl-C again to stop immediately"),
            );
            drop(stopping);
            tokio::select! {
                _ = &mut serving => {}
                request = signals.next() => std::process::exit(request.exit_code().into()),
            }
            tracing::info!(took = ?began.elapsed(), "drained");
        }
    }
    lanes.close();
    // A reader that stopped reading must not keep the process.
    let finishing = tokio::task::spawn_blocking(move || log.finish());
    let finished = tokio::time::timeout(LINES_GRACE, finishing).await;
    // The directories of the guests go last.
    drop(dirs);
    if let Ok(Ok(Err(lost))) = finished {
        return Err(lost.into());
    }
    Ok(())
}

/// Starts the sandbox of a process that serves one component.
fn sandbox(limits: Limits, policy: HttpPolicy, wasi_0_3: Wasi03) -> Result<Sandbox, Failed> {
    let cache = ambient::compiled_cache().inspect_err(|error| prepare::warn_uncached(error));
    let parts = SandboxParts {
        cache: cache.ok(),
        incremental: child::known_functions(),
        limits,
        outbound: Outbound::default(),
        wasi_0_3,
        // An instance that ends and the one that follows it overlap.
        workers: policy.at_once.saturating_mul(2).max(64),
        ..SandboxParts::new(Arc::new(child::compiler()))
    };
    Sandbox::start(parts)
        .map_err(|error| Failed::here(format!("cannot start the sandbox: {error}")))
}

/// Compiles the component, and refuses one that does not handle requests.
async fn load(
    sandbox: Sandbox,
    component: ReadComponent,
    name: &str,
) -> Result<Arc<Loaded>, Failed> {
    let _spinner = Spinner::after_a_while(format!("compiling {}", neutral(name)));
    let load = move || component.load(&sandbox, Profile::Default);
    let loading = tokio::task::spawn_blocking(load);
    let loaded = loading.await.map_err(|error| Failed::internal(error.to_string()))?;
    let (loaded, _) = loaded.map_err(|error| explain::not_loaded(&error).into_failed())?;
    match loaded.kind {
        ComponentKind::Http => Ok(loaded),
        kind => Err(Failed::refused(format!(
            "this is a {} and does not handle HTTP requests: it exports neither \
             skep:worker/web nor wasi:http/incoming-handler",
            kind.as_str()
        ))
        .hint("run it with `skep run`")),
    }
}

fn announce(
    arguments: &ServeArgs,
    address: std::net::SocketAddr,
    loaded: &Loaded,
    policy: HttpPolicy,
) -> Result<(), Failed> {
    if !address.ip().is_loopback() {
        let message = format!("{address} is reachable from other machines, without TLS or login");
        terminal::say("warning", &message);
    }
    let url = format!("http://{address}");
    let report = ServeReport {
        url: url.clone(),
        component: loaded.shape.digest,
        instances: policy.instances.as_str(),
    };
    match arguments.output {
        OutputFormat::Json => terminal::print(&json::line(&report))?,
        OutputFormat::Text => {
            let instances = policy.instances.as_str();
            terminal::try_say("ready", &format!("{url}  (instances: {instances})"))?;
        }
    }
    Ok(())
}

/// The lanes as the service of a front.
struct LanesService(Lanes<GuestSource>);

#[async_trait]
impl HttpService for LanesService {
    async fn respond(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        let answer = self.0.respond(request).await?;
        Ok(answer.map(|body| body.map_err(|_| BodyCut).boxed_unsync()))
    }
}
