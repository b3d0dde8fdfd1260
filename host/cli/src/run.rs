//! `skep run`: one run of one component, with streams, mounts and limits, and an exit code.
//!
//! A run is prepared, loaded, fed, run and concluded, in this order. Whatever may block, reading a
//! component from a pipe or printing to a reader that stopped, happens on a thread of its own while
//! the run watches its deadline and the signals. Such a thread may never return, so the process
//! ends by exiting.

mod args;
mod backtrace;
mod conclude;
mod explain;
mod memory_turn;
mod mount;
mod out;
mod streams;
mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use skep_protocol::flags::quoted;
use skep_protocol::limits::OFF;
use skep_protocol::text::neutral;
use skep_protocol::{ComponentKind, Limits, Payload, Rights, WorkerId};
use skep_registry::{LocalRun, RunRecord};
use skep_sandbox::{
    ChildCompiler, CompileOutcome, ConnectReason, Cost, Denied, Done, Ended, FileCalls, FileThread,
    GuestSpec, HttpAccess, KillReason, KillSwitch, LoadError, Loaded, Mount, Outbound, Profile,
    Sandbox, SandboxParts, TranscriptEntry, UnboundedMemory, Unkept,
};
use skep_scope::{Disk, Quota, Scope};

use crate::report::{CompileReport, DenialReport, RunReport};
use crate::serve::now;
use crate::source::{NoWriter, Source};
use crate::temporary::Temporary;
use crate::terminal::{self, Lost, Spinner};
use crate::{ambient, exit};
pub(crate) use args::RunArgs;
use conclude::{Conclusion, Event, Form};
use explain::Explained;
use memory_turn::{MemoryTurn, Told};
use mount::{DATA, MountArg};
use out::Out;
use streams::{Streams, Writers};
use watch::{GivenUp, Watch, sleep_until};

/// How long the last of a stopped guest's output may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a stopped guest may take to let go. One that is stuck in a system call never does.
const LETTING_GO: Duration = Duration::from_millis(100);

/// How long printing the result may take where the deadline has passed.
const PRINTING: Duration = Duration::from_secs(1);

/// Runs the command and returns the exit code.
pub(crate) fn run(mut arguments: RunArgs, guest: Vec<OsString>) -> u8 {
    arguments.args = guest;
    let form = form(&arguments);
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(whole(arguments));
            // Its threads may never return.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            conclude::show(form, Conclusion::from(failed(format!("failed to start: {error}"))))
        }
    }
}

/// The whole of a run, to its exit code.
async fn whole(arguments: RunArgs) -> u8 {
    let form = form(&arguments);
    let mut watch = match Watch::begin(arguments.timeout) {
        Ok(watch) => watch,
        Err(error) => {
            let explained = failed(format!("signals cannot be watched: {error}"));
            return conclude::show(form, explained.into());
        }
    };
    let mut deadline = watch.deadline();
    let conclusion = match Run::prepare(arguments, &mut watch).await {
        Err(explained) => explained.into(),
        Ok(mut run) => {
            let conclusion = run.drive(&mut watch, &mut deadline).await;
            run.collect_out(conclusion, &mut watch).await
        }
    };
    // A reader that stopped holds the printing up for ever.
    let patience = deadline.map(|deadline| deadline.max(Instant::now() + PRINTING));
    let ending = conclusion.explained.exit_code;
    let shown = watch.over_blocking(patience, move || conclude::show(form, conclusion)).await;
    match shown {
        Ok(code) => code,
        Err(GivenUp::Stopped(request)) => request.exit_code(),
        Err(GivenUp::Late) if ending == 0 => exit::DEADLINE,
        Err(GivenUp::Late) => ending,
    }
}

fn form(arguments: &RunArgs) -> Form {
    Form { output: arguments.output, backtrace: arguments.backtrace }
}

/// One run on its way.
struct Run {
    arguments: RunArgs,
    limits: Limits,
    wasm: Vec<u8>,
    name: String,
    args: Vec<String>,
    sandbox: Sandbox,
    mounts: Vec<Mount>,
    temporary: Option<Temporary>,
    /// The guest's /out, and where what it leaves there goes.
    out: Option<(Dir, Out)>,
    report: RunReport,
}

impl Run {
    /// Reads the component and checks everything the operator said, before anything is compiled or
    /// run.
    async fn prepare(mut arguments: RunArgs, watch: &mut Watch) -> Result<Self, Explained> {
        let defaults = Limits::default();
        let mut limits = Limits {
            memory_bytes: arguments.memory.unwrap_or(defaults.memory_bytes),
            disk_bytes: arguments.disk.unwrap_or(defaults.disk_bytes),
            fuel: arguments.fuel.unwrap_or(OFF),
            turn_deadline_ms: arguments
                .timeout
                .map_or(OFF, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(OFF)),
            // What copies its results and compiles is left some.
            open_descriptors: defaults.open_descriptors.min(ambient::raise_descriptors() / 2),
            ..defaults
        };
        if let Some(timeout) = arguments.compile_timeout {
            limits.set_compile_timeout(u64::try_from(timeout.as_millis()).unwrap_or(OFF));
        }
        let name = file_name(&arguments.component);
        let args = guest_args(&name, std::mem::take(&mut arguments.args)).map_err(failed)?;
        let component = Source::from(arguments.component.clone());
        if let Some(input) = arguments.input.clone().map(Source::from) {
            if input.is_standard_input() && component.is_standard_input() {
                return Err(failed("standard input is both the component and the input".into()));
            }
            input.check()?;
        }
        let wasm = watch
            .over_blocking(watch.deadline(), move || {
                component.read(NoWriter::Refuse, limits.component_bytes)
            })
            .await
            .map_err(|reason| given_up(reason, &limits))??;
        let mut run = Self {
            name,
            args,
            sandbox: sandbox(limits).map_err(failed)?,
            limits,
            wasm,
            mounts: Vec::new(),
            temporary: None,
            out: None,
            report: RunReport::default(),
            arguments,
        };
        run.mount().map_err(failed)?;
        Ok(run)
    }

    fn mount(&mut self) -> Result<(), String> {
        let disk =
            Disk::new(Quota { bytes: self.limits.disk_bytes, entries: self.limits.disk_entries });
        let scope = |dir, rights| Scope::new(dir, rights, disk.clone());
        for wanted in &self.arguments.dir {
            let MountArg { host, guest, rights } = wanted;
            if self.mounts.iter().any(|mount| mount.guest == *guest) {
                return Err(format!("two directories are mapped to {guest}: give each its own"));
            }
            let dir = ambient::open_dir(host).map_err(|error| wanted.cannot_open(&error))?;
            self.mounts.push(Mount { guest: guest.clone(), scope: scope(dir, *rights) });
        }
        let mapped = |guest: &str| self.arguments.dir.iter().any(|mount| mount.guest == guest);
        let (data, results) = (!mapped(DATA) && !self.arguments.no_data, mapped("/out"));
        let mut temporary = |name: &str, guest: &str| -> Result<Dir, String> {
            let mut made = || -> io::Result<_> {
                let temporary = match &self.temporary {
                    Some(temporary) => temporary,
                    None => self.temporary.insert(Temporary::create()?),
                };
                let dir = temporary.subdirectory(name)?;
                let kept = dir.try_clone()?;
                let scope = scope(dir, Rights::ReadWrite);
                self.mounts.push(Mount { guest: guest.into(), scope });
                Ok(kept)
            };
            made().map_err(|error| {
                let parent = ambient::temporary_files();
                format!("cannot make a temporary directory in {}: {error}", parent.display())
            })
        };
        if data {
            temporary("data", DATA)?;
        }
        if let Some(path) = self.arguments.out.take() {
            if results {
                return Err("--out gives the guest an /out of its own: map yours elsewhere".into());
            }
            self.out = Some((temporary("out", "/out")?, Out::open(path)?));
        }
        Ok(())
    }

    /// Loads, feeds and runs. `deadline` becomes that of the guest.
    async fn drive(&mut self, watch: &mut Watch, deadline: &mut Option<Instant>) -> Conclusion {
        let loaded = match watch.over(None, self.load()).await {
            Err(reason) => return given_up(reason, &self.limits).into(),
            Ok(Err(error)) => return explain::not_loaded(&error).into(),
            Ok(Ok(loaded)) => loaded,
        };
        self.report.component = Some(loaded.shape.digest);
        self.report.kind = Some(loaded.kind);
        let _record = self.register(&loaded);
        let streams = match Streams::connect(loaded.kind, self.arguments.output) {
            Ok(streams) => streams,
            Err(error) => {
                return failed(format!("the standard streams cannot be used: {error}")).into();
            }
        };
        *deadline = watch.deadline();
        let input = match self.input(loaded.kind, watch, *deadline).await {
            Ok(input) => input,
            Err(explained) => return explained.into(),
        };
        self.guest(loaded, streams, input, watch, *deadline).await
    }

    /// Lets the hosts of this machine show this run for as long as it goes on.
    fn register(&self, loaded: &Loaded) -> Option<LocalRun> {
        let register = || -> io::Result<LocalRun> {
            let started_at = now();
            let record = RunRecord {
                worker_id: WorkerId::new(started_at.as_millis(), ambient::random()?),
                component: loaded.shape.digest,
                kind: loaded.kind,
                display_ref: neutral(&self.name).to_string().parse().ok(),
                started_at,
                pid: std::process::id(),
            };
            LocalRun::register(&ambient::local_runs()?, &record)
        };
        let registered = register();
        if let Err(error) = &registered {
            tracing::info!(%error, "hosts of this machine do not see this run");
        }
        registered.ok()
    }

    /// Makes the component ready on another thread.
    async fn load(&mut self) -> Result<Arc<Loaded>, LoadError> {
        let sandbox = self.sandbox.clone();
        let wasm = std::mem::take(&mut self.wasm);
        let profile = match (self.arguments.deterministic, self.arguments.fuel) {
            (None, None) => Profile::Default,
            _ => Profile::Deterministic,
        };
        let _spinner = Spinner::after_a_while(format!("compiling {}", neutral(&self.name)));
        let loading = tokio::task::spawn_blocking(move || sandbox.load(&wasm, profile));
        let loaded = loading.await;
        let (loaded, outcome) =
            loaded.unwrap_or_else(|error| Err(LoadError::Engine(error.to_string())))?;
        self.report.compile = Some(match outcome {
            CompileOutcome::Hit => CompileReport { cache: "hit", ms: None },
            CompileOutcome::Miss { took, kept } => {
                // That there is no cache at all was said before.
                if let Err(unkept @ Unkept::Io(_)) = kept {
                    not_kept(&unkept);
                }
                CompileReport { cache: "miss", ms: Some(millis(took)) }
            }
        });
        Ok(loaded)
    }

    /// Reads what a service is to handle; a command has nothing.
    async fn input(
        &self,
        kind: ComponentKind,
        watch: &mut Watch,
        deadline: Option<Instant>,
    ) -> Result<Option<Payload>, Explained> {
        let source = self.arguments.input.clone().map(Source::from);
        let body = match (kind, source) {
            (ComponentKind::Service, None) => Vec::new(),
            (ComponentKind::Service, Some(source)) => {
                let most = self.limits.input_bytes;
                let read = move || source.read(NoWriter::Wait, most);
                let read = watch.over_blocking(deadline, read).await;
                read.map_err(|reason| given_up(reason, &self.limits))??
            }
            (_, None) => return Ok(None),
            (_, Some(_)) => {
                let message = "--input is for services; a command reads its standard input";
                return Err(failed(message.into()));
            }
        };
        Ok(Some(Payload { content_type: "application/octet-stream".into(), body: body.into() }))
    }

    /// Runs the guest to its end, its deadline or a signal, and delivers what it wrote.
    async fn guest(
        &mut self,
        loaded: Arc<Loaded>,
        streams: Streams,
        input: Option<Payload>,
        watch: &mut Watch,
        deadline: Option<Instant>,
    ) -> Conclusion {
        let Streams { stdin, stdout, stderr, writers } = streams;
        let (report, events) = std::sync::mpsc::channel();
        let kill = Arc::new(KillSwitch::default());
        let began = Instant::now();
        let spec = GuestSpec {
            args: std::mem::take(&mut self.args),
            env: self.arguments.env.clone(),
            stdin: stdin.clone(),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            mounts: self.mounts.clone(),
            // This process serves one guest, and ends by exiting.
            files: FileCalls::new(FileThread::Inline),
            http: HttpAccess {
                grants: self.arguments.allow_http.clone(),
                secrets: BTreeMap::new(),
            },
            limits: Limits {
                // What is left of it after waiting for the input.
                turn_deadline_ms: deadline.map_or(OFF, |deadline| {
                    let left = deadline.saturating_duration_since(began).as_millis();
                    u64::try_from(left).unwrap_or(OFF).max(1)
                }),
                ..self.limits
            },
            seed: self.arguments.deterministic,
            admission: Arc::new(UnboundedMemory),
        };
        let config: BTreeMap<_, _> = self.arguments.config.iter().cloned().collect();
        let turn = Box::new(MemoryTurn::new(self.limits, config, report));

        let mut guest = {
            let (sandbox, kill) = (self.sandbox.clone(), kill.clone());
            self.sandbox.guests().spawn(async move {
                let mut instance = match sandbox.connect(&loaded, spec, turn, kill).await {
                    Ok(instance) => instance,
                    Err(done) => return done,
                };
                let (ended, cost) = match input {
                    None => instance.run().await,
                    Some(input) => match instance.connected(ConnectReason::Created).await {
                        Ok(()) => instance.call(input).await,
                        Err(done) => return done,
                    },
                };
                Done { ended, cost, denials: instance.take_denials() }
            })
        };
        let mut stopped = None;
        let finished = tokio::select! {
            finished = &mut guest => finished.ok(),
            request = watch.stop_request() => {
                stopped = Some(request);
                kill.throw(KillReason::Cancelled);
                tokio::time::timeout(LETTING_GO, guest).await.ok().and_then(Result::ok)
            }
            () = sleep_until(deadline.and_then(|at| at.checked_add(LETTING_GO))) => None,
        };
        let Done { mut ended, cost, denials } = finished.unwrap_or_else(|| {
            let ended = match kill.reason() {
                Some(reason) => reason.into(),
                None if deadline.is_some_and(|at| at <= Instant::now()) => Ended::Deadline,
                None => Ended::HostFault("the guest's task ended without a result".into()),
            };
            let cost = Cost { wall: began.elapsed(), ..Cost::default() };
            Done { cost, ..Done::from(ended) }
        });
        let lost = match deliver(writers, &ended, watch, deadline).await {
            Ok(delivered) => delivered.err(),
            Err(reason) => {
                // It ended, but nothing takes what it wrote.
                (ended, stopped) = match reason {
                    GivenUp::Late => (Ended::Deadline, stopped),
                    GivenUp::Stopped(request) => (Ended::Cancelled, Some(request)),
                };
                None
            }
        };

        self.report.wall_ms = millis(cost.wall);
        self.report.cpu_ms = millis(cost.cpu);
        self.report.peak_memory_bytes = cost.memory_peak_bytes;
        self.report.fuel = cost.fuel;
        self.report.denials =
            denials.iter().map(|denied| denial(denied, &self.arguments.dir)).collect();
        self.report.bytes_in = stdin.total();
        self.report.bytes_out = stdout.total();
        self.report.bytes_err = stderr.total();
        let explained = explain::ended(&ended, &self.limits, stopped);
        Conclusion {
            explained: explained.with_lost(lost.as_ref()),
            events: self.events(&events),
            output: match ended {
                Ended::Answered(payload) => Some(payload),
                _ => None,
            },
            report: RunReport::default(),
        }
    }

    /// The events that the guest emitted. What it requested goes to the report.
    fn events(&mut self, told: &Receiver<Told>) -> Vec<Event> {
        let mut events = Vec::new();
        for told in told.try_iter() {
            match told {
                Told::Event(TranscriptEntry { seq, kind, event, content_type, body, .. }) => {
                    let payload = Payload { content_type, body: body.into() };
                    events.push(Event { seq, kind: event.unwrap_or(kind), payload });
                }
                Told::Request(request) => self.report.requests.push(request),
            }
        }
        events
    }

    /// Copies what the guest left in /out, whatever its end was, and removes the rest. What cannot
    /// be copied is kept.
    async fn collect_out(mut self, mut conclusion: Conclusion, watch: &mut Watch) -> Conclusion {
        conclusion.report = std::mem::take(&mut self.report);
        let Some((from, out)) = self.out.take() else { return conclusion };
        let copied = watch.over_blocking(None, move || out.copy(&from)).await;
        let trouble = match copied {
            Ok((report, trouble)) => {
                conclusion.report.out = Some(report);
                trouble.map(|message| (exit::SKEP_FAILED, message))
            }
            Err(GivenUp::Stopped(request)) => {
                Some((request.exit_code(), "stopped while copying what is in /out".to_owned()))
            }
            Err(GivenUp::Late) => unreachable!("copying has no deadline"),
        };
        let Some((code, message)) = trouble else { return conclusion };
        let kept = self.temporary.as_ref().map(|temporary| temporary.keep("out"));
        let message = match kept {
            Some(Ok(path)) => {
                let message = format!("{message}; all of /out is kept in {}", path.display());
                conclusion.report.out.get_or_insert_default().kept_in = Some(path);
                message
            }
            Some(Err(error)) => format!("{message}; /out could not be kept: {error}"),
            None => message,
        };
        conclusion.explained = conclusion.explained.without_results(code, &message);
        conclusion
    }
}

/// Waits until what a guest wrote is written, as long as its end allows.
async fn deliver(
    writers: Writers,
    ended: &Ended,
    watch: &mut Watch,
    deadline: Option<Instant>,
) -> Result<Result<(), Lost>, GivenUp> {
    let killed = matches!(ended, Ended::Deadline | Ended::Cancelled);
    let patience = killed.then_some(LAST_WORDS);
    let deadline = deadline.filter(|_| !killed);
    watch.over_blocking(deadline, move || writers.drain(patience)).await
}

fn failed(message: String) -> Explained {
    Explained {
        status: "error",
        exit_code: exit::SKEP_FAILED,
        message: Some(message),
        ..Explained::default()
    }
}

/// The end of a run whose guest was not started, because a wait before that was given up.
fn given_up(reason: GivenUp, limits: &Limits) -> Explained {
    match reason {
        GivenUp::Late => explain::ended(&Ended::Deadline, limits, None),
        GivenUp::Stopped(request) => explain::ended(&Ended::Cancelled, limits, Some(request)),
    }
}

/// The guest's arguments, its name first. WASI has them in UTF-8.
fn guest_args(name: &str, words: Vec<OsString>) -> Result<Vec<String>, String> {
    let mut args = vec![name.to_owned()];
    for word in words {
        args.push(word.into_string().map_err(|word| {
            format!("argument {} of the guest, {word:?}, is not UTF-8", args.len())
        })?);
    }
    Ok(args)
}

/// A denial with the flags that would have allowed it.
fn denial(denied: &Denied, dirs: &[MountArg]) -> DenialReport {
    let grants = denied.denial.grant.iter().flat_map(|grants| &grants.http);
    let mut flags: Vec<_> = grants.map(|grant| format!("--allow-http '{grant}'")).collect();
    let readable = |directory| dirs.iter().find(|dir| dir.guest == directory);
    if let Some(dir) = denied.directory().and_then(readable) {
        let writable = MountArg { rights: Rights::ReadWrite, ..dir.clone() };
        flags.push(format!("--dir {}", quoted(&writable.spelling().to_string_lossy())));
    }
    DenialReport {
        interface: denied.interface,
        wanted: denied.denial.wanted.clone(),
        allow: (!flags.is_empty()).then(|| flags.join(" ")),
    }
}

/// The sandbox of a process that runs one guest.
fn sandbox(limits: Limits) -> Result<Sandbox, String> {
    let cache = ambient::compiled_cache().inspect_err(|error| not_kept(error));
    let parts = SandboxParts {
        cores: 1,
        workers: 1,
        compiler: Arc::new(compiler()),
        cache: cache.ok(),
        limits,
        outbound: Outbound::default(),
    };
    Sandbox::start(parts).map_err(|error| format!("failed to start: {error}"))
}

/// Tells the operator that the next run will compile again.
fn not_kept(why: &dyn std::fmt::Display) {
    terminal::say("note", &format!("the compiled code is not kept: {why}"));
}

/// Compiles in children of this program.
pub(crate) fn compiler() -> ChildCompiler {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ChildCompiler::new(ambient::program(), vec![crate::COMPILE.into()], cores)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
